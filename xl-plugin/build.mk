# SPDX-License-Identifier: LGPL-2.1-only
# One program under many names, xl-checkpoint, xl-rollback, ...; the front that
# makes `xl checkpoint` find them; completion.

# Before /usr/sbin in root's PATH, where Debian has the real xl: so this does
# not follow PREFIX.
FRONTDIR ?= /usr/local/sbin
# Xen's own folder for programs, where the front looks second.
XEN_LIBEXEC_BIN ?= /usr/lib/xen/bin
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
# Read by every shell at its start; does not follow PREFIX either.
EAGERDIR ?= /etc/bash_completion.d

XL_SRCS := $(addprefix xl-plugin/, \
	main.c opts.c complete.c exit_codes.c job.c daemon.c \
	daemon_fill.c signals.c \
	cmd_checkpoint.c cmd_rollback.c cmd_fork.c cmd_query.c cmd_each.c \
	cmd_diff.c cmd_mount.c cmd_keep.c cmd_export.c cmd_import.c cmd_keygen.c \
	progress.c print.c print_ckpt.c tree.c text.c json_out.c json_ckpt.c \
	xen_log.c xen_names.c)
XL_COMMANDS := checkpoint rollback fork checkpoint-list checkpoint-show \
	checkpoint-delete checkpoint-verify checkpoint-diff \
	checkpoint-mount checkpoint-umount \
	checkpoint-keep checkpoint-prune \
	checkpoint-export checkpoint-import checkpoint-keygen
XL_LIBEXEC := $(LIBEXEC)/bin

XL_OBJS := $(XL_SRCS:%.c=$(B)/%.o)
XL_LIBS := -lxentoollog -lxenstore -lyajl
OBJS += $(XL_OBJS)
ALL += $(B)/xl-ckpt $(B)/xl $(B)/completion.eager

$(B)/xl-ckpt: $(XL_OBJS) $(B)/libckpt.so
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $(XL_OBJS) -L$(B) -lckpt \
	    $(XL_LIBS)

$(B)/xl $(B)/completion.eager: $(B)/%: xl-plugin/%.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@XL_LIBEXEC@|$(XL_LIBEXEC)|' \
	    -e 's|@XEN_LIBEXEC_BIN@|$(XEN_LIBEXEC_BIN)|' \
	    -e 's|@COMPLETION@|$(COMPLETIONDIR)/xl-ckpt|' $< | \
	    { $(call put_if_new,$@); }

INSTALLS += install-xl
install-xl: $(B)/xl-ckpt $(B)/xl $(B)/completion.eager
	install -d $(foreach d,$(XL_LIBEXEC) $(SBINDIR) $(FRONTDIR) \
	    $(COMPLETIONDIR) $(EAGERDIR),'$(DESTDIR)$d')
	install -m 755 $(B)/xl-ckpt '$(DESTDIR)$(XL_LIBEXEC)/xl-ckpt'
	for c in $(XL_COMMANDS); do \
	    ln -sf xl-ckpt '$(DESTDIR)$(XL_LIBEXEC)'/xl-$$c || exit 1; done
	ln -sfr '$(DESTDIR)$(XL_LIBEXEC)/xl-ckpt' '$(DESTDIR)$(SBINDIR)/xl-ckpt'
	install -m 755 $(B)/xl '$(DESTDIR)$(FRONTDIR)/xl'
	install -m 644 xl-plugin/completion.bash \
	    '$(DESTDIR)$(COMPLETIONDIR)/xl-ckpt'
	install -m 644 $(B)/completion.eager '$(DESTDIR)$(EAGERDIR)/xl-ckpt'

uninstall: uninstall-xl
uninstall-xl:
	rm -f $(addprefix $(DESTDIR),$(SBINDIR)/xl-ckpt $(FRONTDIR)/xl \
	    $(addprefix $(XL_LIBEXEC)/xl-,ckpt $(XL_COMMANDS)) \
	    $(COMPLETIONDIR)/xl-ckpt $(EAGERDIR)/xl-ckpt)
	-rmdir $(DESTDIR)$(XL_LIBEXEC)
.PHONY: install-xl uninstall-xl
