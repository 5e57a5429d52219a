/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LIBXC_STREAM_H
#define CKPT_LIBXC_STREAM_H
/*
 * Octets of Xen's migration streams, as its specifications give them:
 * docs/specs/libxc-migration-stream.pandoc (version 3) and
 * docs/specs/libxl-migration-stream.pandoc (version 2).  Little-endian but
 * for the headers' identifiers.
 */
#include <stdint.h>

#define XC_MARKER 0xffffffffffffffffull
#define XC_ID 0x58454e46u /* "XENF" */
#define XC_VERSION 3u
#define XC_RECORD_MAX (128u << 20)

struct xc_image_header {
    uint64_t marker;
    uint32_t id;      /* big-endian */
    uint32_t version; /* big-endian */
    uint16_t options; /* big-endian; bit 0: big-endian stream */
    uint16_t res1;
    uint32_t res2;
};

#define XC_DOMAIN_PV 1u
#define XC_DOMAIN_HVM 2u

struct xc_domain_header {
    uint32_t type; /* XC_DOMAIN_* */
    uint16_t page_shift;
    uint16_t res1;
    uint32_t xen_major;
    uint32_t xen_minor;
};

struct xc_record {
    uint32_t type;
    uint32_t length; /* without the padding to 8 */
};

#define XC_REC_END 0x00u
#define XC_REC_PAGE_DATA 0x01u
#define XC_REC_TSC_INFO 0x08u
#define XC_REC_HVM_CONTEXT 0x09u
#define XC_REC_HVM_PARAMS 0x0au
#define XC_REC_VERIFY 0x0du
#define XC_REC_CHECKPOINT 0x0eu
#define XC_REC_STATIC_DATA_END 0x10u
#define XC_REC_CPUID_POLICY 0x11u
#define XC_REC_MSR_POLICY 0x12u
#define XC_REC_OPTIONAL 0x80000000u

/* PAGE_DATA: this, then count frames, then the pages of those with data. */
struct xc_page_data {
    uint32_t count;
    uint32_t res1;
};
#define XC_PFN_MASK 0x000fffffffffffffull
#define XC_PFN_TYPE_SHIFT 60

struct xc_tsc_info {
    uint32_t mode;
    uint32_t khz;
    uint64_t nsec;
    uint32_t incarnation;
    uint32_t res1;
};

struct xc_hvm_param {
    uint64_t index;
    uint64_t value;
};
struct xc_hvm_params {
    uint32_t count;
    uint32_t res1;
    struct xc_hvm_param param[];
};

#define XL_IDENT 0x4c6962786c466d74ull /* "LibxlFmt", big-endian */
#define XL_VERSION 2u                  /* big-endian */

struct xl_header {
    uint64_t ident;
    uint32_t version;
    uint32_t options;
};

#define XL_REC_END 0u
#define XL_REC_LIBXC_CONTEXT 1u
#define XL_REC_EMULATOR_XENSTORE_DATA 2u
#define XL_REC_EMULATOR_CONTEXT 3u
#define XL_EMULATOR_QEMU 2u /* upstream QEMU */

struct xl_emulator {
    uint32_t id;
    uint32_t index;
};

#endif
