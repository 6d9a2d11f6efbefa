/* Which variant of the loops suits the processor, and which sources the library was built from. */
#include "sha256.h"
#include "texts.h"

#define AAM_TEXT_(name) #name
#define AAM_TEXT(name) AAM_TEXT_(name)

AAM_EXPORT extern const char aam_digest[];
const char aam_digest[] = AAM_TEXT(AAM_DIGEST);

/* The sizes of all structures that callers make, for a test to compare with theirs. */
AAM_EXPORT extern const int64_t aam_sizes[28];
const int64_t aam_sizes[28] = {
    sizeof(struct aam_part),   sizeof(struct aam_id),        sizeof(struct aam_form),
    sizeof(struct aam_layout), sizeof(struct aam_views),     sizeof(struct aam_text),
    sizeof(struct aam_sink),   sizeof(struct aam_malformed), sizeof(struct aam_field),
    sizeof(struct aam_column), sizeof(struct aam_texts),     sizeof(struct aam_steps),
    sizeof(struct aam_key),    sizeof(struct aam_keys),      sizeof(struct aam_split),
    sizeof(struct aam_row),    sizeof(struct aam_item),      sizeof(struct aam_gather),
    sizeof(struct aam_kept),   sizeof(struct aam_users),     sizeof(struct aam_past),
    sizeof(struct aam_known),  sizeof(struct aam_id_shape),  sizeof(struct aam_line_form),
    sizeof(struct aam_doubted), sizeof(struct aam_segment),   sizeof(struct aam_earlier),
    sizeof(struct aam_seen),
};

/* Return the suffix of the entries that are to be called. */
AAM_EXPORT const char *aam_choose_variant(void);

#if defined(AAM_HAS_V3) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>

/* x86-64-v3: AVX2, BMI1, BMI2, FMA, F16C, LZCNT, MOVBE, and an operating system that keeps the wide registers. */
static bool has_v3(void) {
    const uint32_t leaf1 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA MOVBE OSXSAVE AVX F16C */
    const uint32_t leaf7 = 1u << 3 | 1u << 5 | 1u << 8;                          /* BMI1 AVX2 BMI2 */
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
        return false;
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6)
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & leaf7) != leaf7)
        return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 5) != 0; /* LZCNT */
}

bool aam_has_sha;

/* The extension SHA; what else its instructions need is in x86-64-v3. */
static bool has_sha(void) {
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) != 0;
}

const char *aam_choose_variant(void) {
    aam_has_sha = has_sha();
    return has_v3() ? "v3" : "base";
}

#else
const char *aam_choose_variant(void) { return "base"; }
#endif
