# SPDX-License-Identifier: LGPL-2.1-only
# A test is a file in its folder: tests/unit/t_NAME.c or tests/flow/NAME.sh
# is found by being there.  Programs link the core of the library and the
# fakes, never xen_*.c; but t_xen_NAME has that one file of it, over libxl.
UNIT_SRCS := $(sort $(wildcard tests/unit/t_*.c))
CONFORM_SRCS := $(sort $(wildcard tests/conform/*.c))
FAKE_SRCS := $(sort $(wildcard tests/fake/*.c))
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))

UNIT_BINS := $(UNIT_SRCS:%.c=$(B)/%)
CONFORM_BINS := $(CONFORM_SRCS:%.c=$(B)/%)
FUZZ_BINS := $(FUZZ_SRCS:%.c=$(B)/%)
REPLAY_BINS := $(addsuffix -replay,$(FUZZ_BINS))
TEST_BINS := $(UNIT_BINS) $(CONFORM_BINS)
FAKE_OBJS := $(FAKE_SRCS:%.c=$(B)/%.o)
FAULTS_SRCS := $(sort $(wildcard tests/crash/faults*.c)) tests/crash/content.c
FAULTS_OBJS := $(FAULTS_SRCS:%.c=$(B)/%.o)
CRASH_SRCS := $(filter-out $(FAULTS_SRCS), \
	$(sort $(wildcard tests/crash/*.c)))
CRASH_BINS := $(CRASH_SRCS:%.c=$(B)/%)
TEST_OBJS := $(addsuffix .o,$(TEST_BINS) $(FUZZ_BINS) $(CRASH_BINS)) \
	$(FAKE_OBJS) $(B)/tests/fuzz/replay.o $(FAULTS_OBJS)
OBJS += $(TEST_OBJS)
$(TEST_OBJS): CFLAGS_T := -Itests -Ickptd -Ickptd/job -Ixl-plugin
$(filter %/fuzz_ckptd_rpc.o,$(TEST_OBJS)): CFLAGS_T += -fno-strict-aliasing

$(B)/libfake.a: $(FAKE_OBJS)
# ckptd without its main.
$(B)/libckptd.a: $(filter-out %/main.o,$(CKPTD_OBJS)) $(B)/ckptd/job/retain.o \
	$(CKPTD_XL_OBJS)
TEST_ARCHIVES := $(B)/libfake.a $(B)/libckpt-core.a $(B)/libckptd.a
TEST_LIBS = -Wl$(,)--start-group $(TEST_ARCHIVES) -Wl$(,)--end-group \
	$(PKG_LIBS) $(CKPTD_LIBS)
XEN_UNITS := $(filter $(B)/tests/unit/t_xen_%,$(UNIT_BINS))
$(addsuffix .o,$(XEN_UNITS)): CFLAGS_T += -std=gnu11 # Xen's headers want it
$(XEN_UNITS): $(B)/tests/unit/t_%: $(B)/libckpt/%.o
$(B)/tests/unit/t_xen_suspend_undo: $(B)/libckpt/xen_suspend_claim.o
$(B)/tests/unit/t_xen_suspend_undo $(B)/tests/unit/t_xen_watch: $(B)/libckpt/xen_lock.o
$(TEST_BINS): %: %.o $(TEST_ARCHIVES)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(TEST_LIBS) -lcmocka
$(FUZZ_BINS): %: %.o $(TEST_ARCHIVES)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< \
	    $(TEST_LIBS)
# faults*.c stand between the library and the calls that it wraps.
CRASH_WRAPS = $(addprefix -Wl$(,)--wrap=,$(shell sed -n \
	's/.*__wrap_\([a-z0-9_]*\)[^a-z0-9_].*/\1/p' $(FAULTS_SRCS) | sort -u))
$(CRASH_BINS): %: %.o $(FAULTS_OBJS) $(TEST_ARCHIVES)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) $(CRASH_WRAPS) -o $@ $< \
	    $(FAULTS_OBJS) $(TEST_LIBS)
# A fuzzer's body over its saved corpus, with any compiler.
$(REPLAY_BINS): %-replay: %.o $(B)/tests/fuzz/replay.o $(TEST_ARCHIVES)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $< \
	    $(B)/tests/fuzz/replay.o $(TEST_LIBS)

# xl's commands over a guest in an array, for tests/flow and tests/crash.
XL_FAKE := $(if $(wildcard tests/fake/fake_xen.c),$(B)/tests/xl-ckpt)
$(B)/tests/xl-ckpt: $(XL_OBJS) $(B)/libckpt-core.a $(B)/libfake.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $(XL_OBJS) $(TEST_LIBS) \
	    $(XL_LIBS)

# The same over a library that answers from a script, for tests/flow/*-cli-*.
XL_SCRIPTED := $(B)/tests/xl-ckpt-fake
XL_SCRIPTED_OBJS := $(patsubst %.c,$(B)/%.o, \
	$(filter-out xl-plugin/xen_names.c,$(XL_SRCS)) \
	$(sort $(wildcard tests/fake/cli/*.c)))
OBJS += $(filter $(B)/tests/%,$(XL_SCRIPTED_OBJS))
$(filter $(B)/tests/%,$(XL_SCRIPTED_OBJS)): CFLAGS_T := -Ixl-plugin
$(XL_SCRIPTED): $(XL_SCRIPTED_OBJS)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ -lxentoollog -lyajl

# ckptd's jobs over the same, for tests/flow/*-ckptd-*.
CKPTD_JOB_FAKE := $(B)/tests/ckptd-job-fake
$(CKPTD_JOB_FAKE): $(CKPTD_JOB_OBJS) $(CKPTD_JOB_XL_OBJS) \
		$(B)/tests/fake/cli/fake_ckpt.o $(B)/tests/fake/cli/fake_keep.o \
		$(B)/tests/fake/cli/fake_disks.o
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ -lxentoollog -lyajl

# What tests/bench/store.sh runs.
STORE_BENCH_OBJS := $(addprefix $(B)/tests/bench/,store_bench.o guest_image.o)
OBJS += $(STORE_BENCH_OBJS)
$(STORE_BENCH_OBJS): CFLAGS_T := -Itests/bench
$(B)/tests/bench/store_bench: $(STORE_BENCH_OBJS) $(B)/libckpt-core.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# What tests/xen/*.sh run in dom0: the whole library, no fakes.
XEN_TOOL_SRCS := $(filter-out tests/xen/door_% tests/xen/cow_%,\
	$(sort $(wildcard tests/xen/*.c)))
XEN_TOOLS := $(XEN_TOOL_SRCS:%.c=$(B)/%)
COW_OBJS := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/xen/cow/*.c)))
OBJS += $(addsuffix .o,$(XEN_TOOLS)) $(COW_OBJS)
# Xen's public headers refuse strict C11.
$(filter $(B)/tests/xen/xen_%,$(addsuffix .o,$(XEN_TOOLS))) $(COW_OBJS): \
	CFLAGS_T := -Itests -std=gnu11
# It looks at what is put into an image.
LDFLAGS_T :=
LIBS_T :=
$(B)/tests/xen/xen_cow_tool: $(COW_OBJS)
$(B)/tests/xen/xen_cow_tool: LDFLAGS_T := -Wl,--wrap=image_put
$(B)/tests/xen/xen_cow_tool: LIBS_T := -lxengnttab
$(filter-out %/disk_tool %/rpc_tool,$(XEN_TOOLS)): %: %.o $(B)/libckpt.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) $(LDFLAGS_T) -o $@ \
	    $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS) $(LIBS_T)

# The disk drivers know nothing of Xen, so tests/flow uses this one too.
DISK_TOOL := $(B)/tests/xen/disk_tool
$(DISK_TOOL): %: %.o $(B)/libckpt-core.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Knows nothing of either.
$(B)/tests/xen/rpc_tool: %: %.o
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^

test-bins: $(DISK_TOOL) $(TEST_BINS) $(CRASH_BINS) $(XL_FAKE) $(XL_SCRIPTED) \
	$(CKPTD_JOB_FAKE) $(B)/tests/bench/store_bench
fuzz-bins: $(FUZZ_BINS)

# What they run in a guest.
XEN_GUEST_TOOLS := $(addprefix $(B)/tests/,xen/door_tool xen/cow_guest \
	bench/guest_bench)
OBJS += $(addsuffix .o,$(XEN_GUEST_TOOLS))
$(addsuffix .o,$(XEN_GUEST_TOOLS)): CFLAGS_T := -Iguest -std=gnu11 \
	$(if $(SAN),-fno-sanitize=all)
$(XEN_GUEST_TOOLS): %: %.o $(B)/guest/xen_bus.o
	$(call say,LD,$@) $(CC) -static $(LDFLAGS) -o $@ $^

# Every group can be run alone; `check` and `check-fast` add them up.
RUN = B=$(B) CC='$(CC)' CXX='$(CXX)' scripts/run-tests.sh
SAN_BUILD := SAN=address,undefined BUILD=build-san
VALGRIND := env CKPT_TEST_VALGRIND=1 valgrind -q --error-exitcode=1 --leak-check=full \
	--child-silent-after-fork=yes
# A script that is not executable is there for others to source.
scripts_in = $(sort $(shell find tests -path 'tests/$1/*.sh' -perm -u+x))

# With sanitizers run all units, contracts, corpora and commands: a fault in one
# of them is seen here; what takes longer is for `check`.
FAST_GROUPS := golden promise lint asan
check-fast: ## what needs neither root nor Xen, with sanitizers; under a minute
	+@B=$(B) JOBS=$(JOBS) scripts/check.sh $(FAST_GROUPS)
check: deps ## everything, the tests in the lab's Xen included
	+@B=$(B) JOBS=$(JOBS) scripts/check.sh $(FAST_GROUPS) unit conform flow \
	    crash clang valgrind ceph -- xen

check-unit: test-bins ## one program per source file, cmocka
	@$(RUN) -j$(JOBS) -t 300 unit $(UNIT_BINS)
check-conform: test-bins ## the contract of each driver table
	@$(RUN) -j$(JOBS) -t 300 conform $(CONFORM_BINS)
check-golden: all test-bins ## formats, byte for byte
	@$(RUN) -j$(JOBS) -t 60 golden $(call scripts_in,golden)
check-flow: all test-bins ## real programs, fake guest
	@$(RUN) -j$(JOBS) -t 300 flow $(call scripts_in,flow)
check-crash: all test-bins ## die at every step, look at what is left
	@$(RUN) -j$(JOBS) -t 1200 crash $(call scripts_in,crash)
check-promise: all ## what the header, the map and the pages promise
	@$(RUN) -j$(JOBS) -t 120 promise $(call scripts_in,promise)
check-ceph: all test-bins ## disks in a small Ceph cluster of its own
	@$(RUN) -j$(JOBS) -t 900 ceph $(call scripts_in,ceph)
check-lint:
	@$(RUN) -t 600 lint scripts/lint.sh
check-clang: ## clang builds it all
	@$(RUN) -t 1200 clang tests/clang.sh
check-asan: ## unit, conform and the fuzzers' corpora with sanitizers
	+@$(MAKE) --no-print-directory $(SAN_BUILD) check-asan-run
check-asan-run: all test-bins $(REPLAY_BINS)
	@$(RUN) -j$(JOBS) -t 300 asan $(TEST_BINS) $(REPLAY_BINS) \
	    $(sort $(wildcard tests/flow/*-cli-*.sh)) \
	    $(addprefix tests/flow/70-ckptd-,socket.sh guest.sh spec.sh)
check-valgrind: test-bins ## unit and conform under valgrind
	@$(RUN) -j$(JOBS) -t 600 -w '$(VALGRIND)' valgrind $(TEST_BINS)
check-xen: ## tests/xen in the lab: a real Xen in an emulator
	@$(RUN) -j$(JOBS) -t 3600 -w scripts/lab-test.sh xen $(call scripts_in,xen)
check-long: ## what takes too long for check, in the lab
	@$(RUN) -j$(JOBS) -t 3600 -w scripts/lab-test.sh long $(call scripts_in,long)

lab: ## build the lab's images (cached outside the checkout)
	tests/lab/lab build
# It makes the same files with another PREFIX: not beside those who make them too.
lab-install: $(filter all test-bins install,$(MAKECMDGOALS))
lab-install: ## install into the tree the lab's dom0 sees
	+@$(MAKE) --no-print-directory install xen-tools \
	    DESTDIR=$(B)/lab/destdir PREFIX=/usr
xen-tools: $(XEN_TOOLS) $(XEN_GUEST_TOOLS)
demo: deps ## take, roll back and fork a guest in the lab, and show it
	+@$(MAKE) --no-print-directory lab-install
	@tests/demo.sh

BENCH_GROUPS := take take-patched take-guest take-unused rollback fork store \
	disk
bench: ## all measurements, rows into build/bench
	+@$(MAKE) --no-print-directory $(addprefix bench-,$(BENCH_GROUPS))
$(addprefix bench-,$(BENCH_GROUPS)): bench-%: all test-bins
	@B=$(B) scripts/bench.sh $*

fuzz: ## each parser for FUZZ_SECONDS, with clang's libFuzzer
	+@$(MAKE) --no-print-directory CC=clang BUILD=build-fuzz \
	    SAN=fuzzer-no-link,address,undefined fuzz-run
fuzz-run: fuzz-bins
	@scripts/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_BINS)

.PHONY: test-bins fuzz-bins fuzz-run check check-fast check-unit \
	check-conform check-golden check-flow check-crash check-promise \
	check-ceph check-lint check-clang check-asan check-asan-run check-valgrind \
	check-xen check-long lab lab-install xen-tools demo bench fuzz \
	$(addprefix bench-,$(BENCH_GROUPS))
