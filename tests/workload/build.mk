# SPDX-License-Identifier: LGPL-2.1-only
# The guest that testifies, and those who question it.  witness is static: it
# is all of a guest's user space.  Only domain.c needs Xen's libraries.
W := tests/workload
WITNESS_OBJS := $(addprefix $(B)/$(W)/,witness.o arena.o writer.o disklog.o \
	load.o)
WCHECK_OBJS := $(addprefix $(B)/$(W)/,check.o scan.o mem.o disk.o source_raw.o \
	source_ckpt.o)
WPAUSE_OBJS := $(addprefix $(B)/$(W)/,pause.o domain.o)
OBJS += $(WITNESS_OBJS) $(WCHECK_OBJS) $(WPAUSE_OBJS)

WITNESS_BINS := $(addprefix $(B)/$(W)/,witness witness-check witness-pause)
ALL += $(WITNESS_BINS)
workload: $(WITNESS_BINS)
check-workload: $(WITNESS_BINS) ## the witness and its checker, without Xen
	@$(RUN) -t 60 workload $(W)/test-witness.sh
.PHONY: workload check-workload

$(B)/$(W)/witness: $(WITNESS_OBJS)
	$(call say,LD,$@) $(CC) -static -pthread $(LDFLAGS) -o $@ $^
$(B)/$(W)/witness-check: $(WCHECK_OBJS) $(B)/libckpt.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)
$(B)/$(W)/witness-pause: $(WPAUSE_OBJS)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Sanitizers do not go into a static program; Xen's headers want gnu11.
$(WITNESS_OBJS): CFLAGS_T := $(if $(SAN),-fno-sanitize=all)
$(B)/$(W)/domain.o: CFLAGS_T := -std=gnu11
