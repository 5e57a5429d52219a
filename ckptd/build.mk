# SPDX-License-Identifier: LGPL-2.1-only
# Two programs: ckptd (parent, front and door) never loads libckpt or libxl;
# ckptd-job is one operation and ends with it.
CKPTD_SRCS := $(addprefix ckptd/, \
	main.c conf.c log.c notify.c listen.c wire.c json_line.c \
	parent.c roles.c jobs.c job_run.c standby.c guests.c schedule.c rate.c \
	state.c hooks.c audit.c \
	front.c client.c rpc.c methods.c params.c metrics.c http.c \
	door.c doorway.c freeze.c door_request.c xen_store.c)
CKPTD_JOB_SRCS := $(addprefix ckptd/job/,main.c run.c query.c retain.c)
# What is said in JSON is said as xl says it.
CKPTD_XL_OBJS := $(addprefix $(B)/xl-plugin/,text.o exit_codes.o)
CKPTD_JOB_XL_OBJS := $(CKPTD_XL_OBJS) \
	$(addprefix $(B)/xl-plugin/,json_out.o json_ckpt.o)

CKPTD_OBJS := $(CKPTD_SRCS:%.c=$(B)/%.o)
CKPTD_JOB_OBJS := $(CKPTD_JOB_SRCS:%.c=$(B)/%.o) $(B)/ckptd/wire.o
# libev has no .pc on Debian.
LIBEV_LIBS ?= -lev
CKPTD_LIBS := $(LIBEV_LIBS) -lyajl -lxenstore -lxentoollog -lmicrohttpd
OBJS += $(CKPTD_OBJS) $(CKPTD_JOB_SRCS:%.c=$(B)/%.o)
ALL += $(B)/ckptd-bin $(B)/ckptd-job

$(CKPTD_OBJS) $(CKPTD_JOB_OBJS): CFLAGS_T := -Ickptd -Ixl-plugin
# libev's macros look into a watcher through another type.
$(CKPTD_OBJS): CFLAGS_T += -fno-strict-aliasing
$(B)/ckptd/conf.o: CFLAGS_T += -DCKPTD_JOB='"$(HELPER_DIR)/ckptd-job"'
$(B)/ckptd/conf.o: $(B)/helper-dir

# build/ckptd is the folder of the objects.
$(B)/ckptd-bin: $(CKPTD_OBJS) $(CKPTD_XL_OBJS) $(B)/libckpt-core.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(CKPTD_LIBS)
$(B)/ckptd-job: $(CKPTD_JOB_OBJS) $(CKPTD_JOB_XL_OBJS) $(B)/libckpt.so
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ \
	    $(CKPTD_JOB_OBJS) $(CKPTD_JOB_XL_OBJS) -L$(B) -lckpt \
	    -lxentoollog -lyajl


# systemd looks there whatever PREFIX is, and Xen's tools in /etc/xen.
UNITDIR ?= /lib/systemd/system
INITDIR ?= /etc/init.d
XENCONFDIR ?= /etc/xen
SHAREDIR ?= $(PREFIX)/share/xen-ckpt

ALL += $(B)/ckptd.service $(B)/ckptd.init
$(B)/ckptd.service $(B)/ckptd.init: $(B)/%: ckptd/init/%.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@SBINDIR@|$(SBINDIR)|' $< | { $(call put_if_new,$@); }

# A configuration that is there already is the administrator's.
INSTALLS += install-ckptd
install-ckptd: $(B)/ckptd-bin $(B)/ckptd-job $(B)/ckptd.service $(B)/ckptd.init
	install -d $(foreach d,$(SBINDIR) $(HELPER_DIR) $(UNITDIR) $(INITDIR) \
	    $(XENCONFDIR)/ckpt/hooks.d $(SHAREDIR),'$(DESTDIR)$d')
	install -m 755 $(B)/ckptd-bin '$(DESTDIR)$(SBINDIR)/ckptd'
	install -m 755 $(B)/ckptd-job '$(DESTDIR)$(HELPER_DIR)/'
	install -m 644 $(B)/ckptd.service '$(DESTDIR)$(UNITDIR)/'
	install -m 755 $(B)/ckptd.init '$(DESTDIR)$(INITDIR)/ckptd'
	install -m 644 ckptd/grafana.json '$(DESTDIR)$(SHAREDIR)/'
	[ -e '$(DESTDIR)$(XENCONFDIR)/ckptd.conf' ] || install -m 644 \
	    ckptd/init/ckptd.conf '$(DESTDIR)$(XENCONFDIR)/ckptd.conf'
UNINSTALL_FILES += $(SBINDIR)/ckptd $(HELPER_DIR)/ckptd-job \
	$(UNITDIR)/ckptd.service $(INITDIR)/ckptd $(SHAREDIR)/grafana.json
.PHONY: install-ckptd
