/* What `column_texts` and its caller pass to each other. */
#ifndef AAM_TEXTS_H
#define AAM_TEXTS_H

#include "kernel.h"

enum aam_type {
    AAM_TEXT,     /* `values` are offsets into `data`, one more than there are rows */
    AAM_INDEX,    /* of views in `data` */
    AAM_BOOLEAN,  /* bits */
    AAM_SIGNED,
    AAM_UNSIGNED,
    AAM_FLOAT,    /* `data` are powers of ten (decimals.h) */
    AAM_DECIMAL,  /* of 128 bits, `unit` digits of it after the point */
    AAM_DATE,     /* days; or milliseconds, where they are 64 bits wide */
    AAM_TIME,     /* so many `unit`s in a second */
    AAM_MOMENT,   /* likewise, from 1970 */
    AAM_UTC,      /* likewise, with a Z after it */
};

/* Some rows of a column, as Arrow has them. */
struct aam_column {
    const uint8_t *values;
    int64_t values_bytes;
    const uint8_t *validity; /* a bit for each row, 0 where it is missing; NULL where none is */
    int64_t validity_bytes;
    const uint8_t *data;
    int64_t data_bytes;
    int64_t start; /* of the rows among the values */
    int64_t rows;
    int64_t unit;
    int32_t type;  /* enum aam_type */
    int32_t width; /* of a value, in bytes */
};

/* Where their texts go: views, with the longer texts in a buffer that views call `buffer`. */
struct aam_texts {
    uint8_t *views;
    int64_t views_bytes;
    uint8_t *text; /* not for AAM_TEXT and AAM_INDEX: views refer to `data`, or to what its views refer to */
    int64_t text_room;
    int64_t text_bytes; /* that are used: a call goes on after them */
    int64_t buffer;
};

#endif
