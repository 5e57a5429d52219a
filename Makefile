# SPDX-License-Identifier: LGPL-2.1-only
# One make, no recursion: each folder says in its build.mk what it has.
MAKEFLAGS += -rR --warn-undefined-variables
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

include Config.mk

# A folder adds to these what belongs to it.
ALL :=
OBJS :=
INSTALLS :=
UNINSTALL_FILES :=
# A comma where make would see a separator.
, := ,
# Extra flags of one object, set per target.
CFLAGS_T :=

# $(call say,CC,file): the short line, or with V=1 the whole command.
say = $(if $(V),,@printf '  %-8s%s\n' '$1' '$2';)
# $(call put_if_new,file): standard input becomes the file, if it differs.
put_if_new = cat >$1.$$$$; cmp -s $1.$$$$ $1 && rm $1.$$$$ || mv $1.$$$$ $1

include libckpt/build.mk xl-plugin/build.mk ckptd/build.mk guest/build.mk tests/build.mk
include $(wildcard tests/workload/build.mk)

all: $(ALL) ## build everything (the default)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(CFLAGS_T) \
	    -MMD -MP -c -o $@ $<

# Changes only when the flags do; also the place that misses a library.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@$(PKG_CONFIG) --print-errors --exists $(PKG_MODULES) || \
	    { echo "make: libraries are missing: run 'make deps' as root" >&2; \
	      exit 1; }
	@echo '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS))' | \
	    { $(call put_if_new,$@); }

-include $(OBJS:.o=.d)

MAN_PAGES := $(patsubst docs/man/%.pod,$(B)/man/%,$(wildcard docs/man/*.pod))
docs: $(MAN_PAGES) ## man pages, from docs/man/*.pod into build/man

$(B)/man/%: docs/man/%.pod Config.mk
	@mkdir -p $(@D)
	$(call say,MAN,$<) pod2man --name='$(basename $(@F))' \
	    --section='$(subst .,,$(suffix $@))' --center='xen-ckpt' \
	    --release='$(VERSION)' --utf8 --errors=die $< $@

install: all docs $(INSTALLS) ## install into $(DESTDIR)$(PREFIX)
	@scripts/install-man.sh install '$(DESTDIR)$(MANDIR)' $(MAN_PAGES)
	$(if $(DESTDIR),,ldconfig)

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR),$(UNINSTALL_FILES))
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(LIBEXEC)/bin \
	    $(DESTDIR)$(LIBEXEC)
	@scripts/install-man.sh uninstall '$(DESTDIR)$(MANDIR)' $(MAN_PAGES)

deps: ## install the Debian packages that are missing
	@scripts/deps.sh

lint: ## rules of CODING_STYLE that a script can check
	@scripts/lint.sh

FORMAT_FILES = $(shell find libckpt ckptd xl-plugin guest tests -name '*.[ch]' \
	-not -path '*/workload/vendor/*')
format: ## rewrite the C files in the house style
	clang-format -i $(FORMAT_FILES)
format-check: ## say which files the formatter would change
	clang-format --dry-run --Werror $(FORMAT_FILES)

dist: ## a tarball of the committed tree, in build/
	@mkdir -p $(B)
	git archive --prefix=xen-ckpt-$(VERSION)/ \
	    -o $(B)/xen-ckpt-$(VERSION).tar.gz HEAD
tags: ## ctags
	ctags -R libckpt ckptd xl-plugin tests
compile_commands.json: FORCE ## for language servers
	@scripts/compile-commands.sh >$@

clean: ## remove every build folder (not the lab's images)
	rm -rf build build-* tags compile_commands.json
show-config: ## every knob and its value
	@$(foreach v,$(CONFIG_SHOWN),printf '%-14s%s\n' '$v' \
	    '$(subst ','\'',$($v))';)
help: ## this list
	@sed -n 's/^\([a-z][a-zA-Z_.-]*\):.*## \(.*\)/\1\t\2/p' Makefile \
	    tests/build.mk | awk -F'\t' '{ printf "  %-22s%s\n", $$1, $$2 }'

.PHONY: all docs install uninstall deps lint format format-check dist tags \
	clean show-config help FORCE
