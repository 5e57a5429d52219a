# SPDX-License-Identifier: LGPL-2.1-only
# Every knob with its default; `make show-config` prints the result.
# Set them on the command line (make PREFIX=/usr) or in the environment.

VERSION := 0.1.0
SOVERSION := 0

# Where things go. DESTDIR is put in front of all of them.
DESTDIR ?=
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
LIBEXEC ?= $(PREFIX)/libexec/xen-ckpt
MANDIR ?= $(PREFIX)/share/man

# How it is built. make's own defaults do not count as a choice.
ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
ifneq ($(filter default undefined,$(origin CXX)),)
CXX := g++
endif
ifneq ($(filter default undefined,$(origin AR)),)
AR := ar
endif
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
V ?=
WERROR ?= 1
SAN ?=

# A build of its own for each kind: build, build-clang, build-san, ...
CC_IS_CLANG := $(findstring clang,$(notdir $(CC)))
BUILD ?= build$(if $(CC_IS_CLANG),-clang)$(if $(SAN),-san)
B := $(BUILD)

PKG_MODULES := xencontrol xenlight xenstore xenforeignmemory xenguest \
	xentoollog xenevtchn xengnttab yajl libxxhash libzstd liburing libpmem2 \
	libsodium uuid
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKG_MODULES) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKG_MODULES) 2>/dev/null)

WARNINGS := -Wall -Wextra -Wundef -Wvla -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wwrite-strings -Wswitch-enum \
	-Wimplicit-fallthrough $(if $(filter-out 0,$(WERROR)),-Werror)
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer \
	-fno-sanitize-recover=all)
ALL_CPPFLAGS := -D_GNU_SOURCE -DCKPT_VERSION='"$(VERSION)"' -Ilibckpt \
	$(PKG_CFLAGS) $(if $(SAN),-DPACKS_BLOCKS=256u) $(CPPFLAGS)
ALL_CFLAGS := -std=c11 $(WARNINGS) -pthread $(CFLAGS) $(SAN_FLAGS)
# Names are looked up at the start, not while a guest stands still.
ALL_LDFLAGS := -pthread $(SAN_FLAGS) -Wl,--as-needed -Wl,-z,relro,-z,now $(LDFLAGS)

# ckpt-rbd, for disks on Ceph RBD; empty where librbd is not.
CONFIG_RBD ?= $(if $(wildcard /usr/include/rbd/librbd.h),y)

# How long the slow targets go on.
FUZZ_SECONDS ?= 60
JOBS ?= 2

CONFIG_SHOWN := VERSION SOVERSION DESTDIR PREFIX BINDIR SBINDIR LIBDIR \
	INCLUDEDIR LIBEXEC MANDIR CC CXX AR PKG_CONFIG PKG_MODULES CPPFLAGS \
	CFLAGS LDFLAGS WERROR SAN V CONFIG_RBD BUILD FUZZ_SECONDS JOBS
