# SPDX-License-Identifier: LGPL-2.1-only
# ckpt-guest goes into guests: static, for any Linux, without Xen's libraries.
GUEST_SRCS := $(addprefix guest/, \
	main.c request.c agent.c hooks.c rng.c xen_bus.c)
GUEST_HOOKS := $(wildcard guest/guest.d/*)
# What a guest's administrator copies into it.
GUESTDIR ?= $(PREFIX)/share/xen-ckpt/guest

GUEST_OBJS := $(GUEST_SRCS:%.c=$(B)/%.o)
OBJS += $(GUEST_OBJS)
ALL += $(B)/ckpt-guest

# Sanitizers do not go into a static program; Xen's headers want gnu11.
$(GUEST_OBJS): CFLAGS_T := $(if $(SAN),-fno-sanitize=all) -std=gnu11
$(B)/ckpt-guest: $(GUEST_OBJS)
	$(call say,LD,$@) $(CC) -static $(LDFLAGS) -o $@ $^

INSTALLS += install-guest
install-guest: $(B)/ckpt-guest
	install -d '$(DESTDIR)$(GUESTDIR)/guest.d'
	install -m 755 $(B)/ckpt-guest '$(DESTDIR)$(GUESTDIR)/'
	install -m 755 $(GUEST_HOOKS) '$(DESTDIR)$(GUESTDIR)/guest.d/'
UNINSTALL_FILES += $(GUESTDIR)/ckpt-guest \
	$(addprefix $(GUESTDIR)/,$(GUEST_HOOKS:guest/%=%))
.PHONY: install-guest
