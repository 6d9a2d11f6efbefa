/* SHA-256 (FIPS 180-4) of one text at a time. IDs are short, so each takes a block or two: a column of hashes made by a
   library, and put into finished lines, took five times as long. */
#ifndef AAM_SHA256_H
#define AAM_SHA256_H

#include "kernel.h"

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

/* Whether the processor has instructions for it; set when the library is loaded. */
extern bool aam_has_sha;

#define sha256 AAM_JOIN(aam_sha256, AAM_VARIANT)

/* Set `digest` to the hash of a text. */
void sha256(const uint8_t *start, int64_t length, uint8_t digest[SHA256_BYTES]);

#endif
