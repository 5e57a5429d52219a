# SPDX-License-Identifier: LGPL-2.1-only
# Listed in the order the data flows; xen_*.c are the border to Xen.
LIB_XEN_SRCS := $(addprefix libckpt/xen_, \
	conn.c dom.c stamp.c config.c ring.c suspend.c suspend_claim.c suspend_undo.c lock.c mem.c size.c cow.c machine.c save.c build.c \
	watch.c undo.c vm_node.c)
LIB_CORE_SRCS := $(addprefix libckpt/, \
	ctx.c words.c steps.c op.c guard.c guard_main.c guard_undo.c launch.c spawn.c \
	bitmap.c mem.c mem_cow.c mem_dirty.c mem_stream.c machine.c qmp.c \
	pack.c ring.c mapped.c pack_sum.c look.c large.c places.c equals.c \
	disk.c disks.c disk_name.c disk_lvmthin.c disk_lvmthin_use.c \
	disk_lvmthin_content.c disk_content.c disk_view.c \
	disk_dmthin.c disk_dmthin_use.c disk_dmthin_deed.c disk_dmthin_content.c dmsetup.c \
	dm_lines.c dm_hold.c disk_dmsnap.c disk_dmsnap_use.c disk_dmsnap_deed.c \
	disk_dmsnap_look.c disk_dmsnap_changed.c loop.c \
	thin.c thin_hold.c thin_meta.c lvm.c dm.c disk_file.c disk_extents.c disk_reflink.c \
	disk_qcow2.c disk_qcow2_remove.c disk_qcow2_changed.c \
	disk_rbd.c disk_rbd_use.c disk_rbd_changed.c disk_rbd_content.c rbd_name.c rbd_talk.c \
	rbd_kernel.c disk_qcow2_content.c disk_manual.c qcow2_file.c qcow2_node.c qcow2_job.c \
	store.c store_dir.c store_dir_names.c store_dir_text.c \
	store_dir_write.c store_dir_commit.c store_dir_read.c \
	store_dir_drop.c store_dir_refs.c store_dir_compress.c \
	store_dir_dump.c store_dir_sharers.c packs.c radix.c radix_build.c \
	store_format.c store_text.c gfn_table.c safe_io.c \
	store_v1.c store_v1_read.c \
	checkpoint.c checkpoint_group.c checkpoint_json.c \
	checkpoint_keep.c json.c \
	stream_write.c stream_read.c build.c watch.c \
	take.c take_cut.c group.c rollback.c fork.c query.c verify.c owed.c \
	mount.c remove.c diff.c prune.c \
	export.c export_xl.c export_vmcore.c import.c \
	archive_key.c archive_out.c archive_in.c archive_write.c \
	archive_place.c archive_config.c archive_read_disk.c archive_read.c)

# The process that outlives an operation.  It calls what the library does not
# export, so it links the archive.
HELPER_SRCS := $(addprefix libckpt/helper/,main.c build.c watch.c detach.c)
HELPER_DIR := $(LIBEXEC)/bin

# Where Ceph's librbd is: the process that knows it, so that the library does
# not.
RBD_SRCS := $(if $(CONFIG_RBD),$(addprefix libckpt/rbd/,main.c cluster.c \
	cut.c image.c clone.c drop.c changed.c content.c))
RBD_OBJS := $(RBD_SRCS:%.c=$(B)/%.o)
RBD_PROGRAM := $(if $(CONFIG_RBD),$(B)/ckpt-rbd)

LIB_XEN_OBJS := $(LIB_XEN_SRCS:%.c=$(B)/%.o)
LIB_CORE_OBJS := $(LIB_CORE_SRCS:%.c=$(B)/%.o)
LIB_OBJS := $(LIB_CORE_OBJS) $(LIB_XEN_OBJS)
LIB_SO := $(B)/libckpt.so.$(SOVERSION)
HELPER_OBJS := $(HELPER_SRCS:%.c=$(B)/%.o)
OBJS += $(LIB_OBJS) $(HELPER_OBJS) $(RBD_OBJS)
ALL += $(LIB_SO) $(B)/libckpt.so $(B)/libckpt.a $(B)/libckpt-core.a \
	$(B)/libckpt.pc $(B)/ckpt-helper $(RBD_PROGRAM)

$(LIB_CORE_OBJS): CFLAGS_T := -fPIC -fvisibility=hidden
# Xen's public headers refuse strict C11.
$(LIB_XEN_OBJS): CFLAGS_T := -fPIC -fvisibility=hidden -std=gnu11

# The one object that knows where it will be installed.
$(B)/libckpt/launch.o: CFLAGS_T += \
	-DCKPT_HELPER='"$(HELPER_DIR)/ckpt-helper"' \
	-DCKPT_RBD='"$(HELPER_DIR)/ckpt-rbd"'
$(B)/libckpt/launch.o: $(B)/helper-dir
$(B)/helper-dir: FORCE
	@mkdir -p $(@D)
	@echo '$(HELPER_DIR)' | { $(call put_if_new,$@); }

$(B)/ckpt-helper: $(HELPER_OBJS) $(B)/libckpt.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(B)/ckpt-rbd: $(RBD_OBJS) $(B)/libckpt/helper/detach.o
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ -lrbd -lrados

# Shared objects with clang's sanitizers do not link under -z defs.
$(LIB_SO): $(LIB_OBJS) libckpt/libckpt.map
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -shared $(ALL_LDFLAGS) \
	    $(if $(SAN),,-Wl$(,)-z$(,)defs) -Wl,-soname,$(@F) \
	    -Wl,--version-script=libckpt/libckpt.map \
	    -o $@ $(LIB_OBJS) $(PKG_LIBS)

$(B)/libckpt.so: $(LIB_SO)
	@ln -sf $(<F) $@

# Not installed: libckpt-core.a has no xen_*.c, so that a test that links it
# with tests/fake sees a function without a fake at link time.
$(B)/libckpt.a: $(LIB_OBJS)
$(B)/libckpt-core.a: $(LIB_CORE_OBJS)
$(B)/%.a:
	@mkdir -p $(@D) && rm -f $@
	$(call say,AR,$@) $(AR) rcs $@ $^

$(B)/libckpt.pc: libckpt/libckpt.pc.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' $< | \
	    { $(call put_if_new,$@); }

INSTALLS += install-lib
install-lib: $(LIB_SO) $(B)/libckpt.pc $(B)/ckpt-helper $(RBD_PROGRAM)
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)' \
	    '$(DESTDIR)$(HELPER_DIR)'
	install -m 755 $(B)/ckpt-helper $(RBD_PROGRAM) '$(DESTDIR)$(HELPER_DIR)/'
	install -m 755 $(LIB_SO) '$(DESTDIR)$(LIBDIR)/'
	ln -sf $(notdir $(LIB_SO)) '$(DESTDIR)$(LIBDIR)/libckpt.so'
	install -m 644 libckpt/ckpt.h '$(DESTDIR)$(INCLUDEDIR)/'
	install -m 644 $(B)/libckpt.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/'
UNINSTALL_FILES += $(LIBDIR)/$(notdir $(LIB_SO)) $(LIBDIR)/libckpt.so \
	$(LIBDIR)/pkgconfig/libckpt.pc $(INCLUDEDIR)/ckpt.h \
	$(HELPER_DIR)/ckpt-helper $(HELPER_DIR)/ckpt-rbd
.PHONY: install-lib
