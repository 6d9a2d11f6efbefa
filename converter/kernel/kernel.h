/* What the loops and their callers pass to each other. form.py, sink.py and calls.py have the same structures.

   All memory belongs to the caller. Every buffer comes with its size in bytes, or in entries where it has a type of its
   own, and nothing outside of it is read or written. */
#ifndef AAM_KERNEL_H
#define AAM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each source is compiled once for each variant of the processor. */
#ifndef AAM_VARIANT
#define AAM_VARIANT base
#endif
#define AAM_JOIN_(name, variant) name##_##variant
#define AAM_JOIN(name, variant) AAM_JOIN_(name, variant)
#define AAM_EXPORT __attribute__((visibility("default")))
#define AAM_ENTRY(name) AAM_EXPORT int32_t AAM_JOIN(aam_##name, AAM_VARIANT)

/* A benchmark compiles loops that take every row for regular, to see what the rules cost. */
#ifndef AAM_JUDGE
#define AAM_JUDGE 1
#endif

#define AAM_SLACK 64 /* bytes that must be readable after a text, and writable after lines */

enum aam_status {
    AAM_OK = 0,
    AAM_FULL = 1,      /* there is no more room: call again with more (`aam_sink` says where) */
    AAM_MALFORMED = 2, /* an argument is not what it has to be, or there are more rows than room for them */
};

enum aam_kind { AAM_PAIR, AAM_TRAITS, AAM_CODES, AAM_CONSTANT, AAM_VALUES };

/* Whether a key of JSON may hold a list, and of what. */
enum aam_list { AAM_NO_LIST, AAM_LIST_CODES, AAM_LIST_VALUES };

/* What stands before each value in the text of a list of values. */
enum { AAM_ITEM = 0x1F };

/* How closely texts are scanned for personal data. */
enum aam_scan { AAM_SCAN_NOTHING, AAM_SCAN_NUMBERS, AAM_SCAN_CARDS };

/* Whether the words for missing values are missing ones in a column, or make the row irregular. */
enum aam_nulls { AAM_NO_NULLS, AAM_NULLS, AAM_NULLS_IRREGULAR };

/* A constant text. */
struct aam_constant {
    const uint8_t *start;
    int64_t length;
};

enum { AAM_LENGTHS = 64 };

/* Texts that values are compared with, the shortest first, and of those the least; none is empty. */
struct aam_words {
    const struct aam_constant *words;
    uint64_t starts[4];             /* a bit for each byte that one begins with */
    uint16_t first[AAM_LENGTHS + 1]; /* the index of the first word of each length; all long ones count as the last */
    uint8_t unused[6];
};

/* One part of a line, after the ID: a value in quotes, a list, or a constant text. */
struct aam_part {
    const uint8_t *prefix; /* what stands before the value, or before each item, and AAM_SLACK bytes more */
    int64_t prefix_bytes;
    int64_t special; /* special bytes (see lines.c) around each value or item */
    int32_t kind;    /* enum aam_kind */
    int32_t column;
    uint8_t separator; /* between items of a list */
    uint8_t scan;      /* enum aam_scan: whether a value that may be personal data makes the row irregular */
    uint8_t nulls;     /* enum aam_nulls */
    uint8_t unused;
    int32_t key_column;           /* of a pair whose key is in a column: between the prefix and `"="` */
    const struct aam_words *keys; /* what keys are regular there; NULL where the prefix has the key */
};

/* What changes an ID before its bytes are mapped, in this order. */
struct aam_steps {
    struct aam_constant cut_prefix;
    struct aam_constant cut_suffix;
    const uint8_t *kept; /* 256: AAM_KEPT, AAM_REMOVED, or 0 for a byte that makes the ID irregular */
    int64_t pad;         /* the least number of bytes, reached by zeros before it */
    uint8_t strip_zeros;
    uint8_t unused[7];
};

enum { AAM_KEPT = 1, AAM_REMOVED = 2 };

/* What is counted of the steps, in the order of the counts. The case is that of the map. */
enum aam_step { AAM_CUT_PREFIX, AAM_CUT_SUFFIX, AAM_REMOVE, AAM_STRIP_ZEROS, AAM_PAD, AAM_CASE, AAM_HASH_STEP, AAM_STEP_COUNT };

/* Whether the hash of an ID takes its place in the line: that of any text, or of an address, which it has to be. One
   that is a hash already stays one. */
enum aam_hashed { AAM_NOT_HASHED, AAM_HASHED, AAM_HASHED_ADDRESS };

/* An ID of a line. */
struct aam_id {
    const uint8_t *bytes; /* 256: what to write for each byte of it, 0 where that makes it irregular */
    const struct aam_steps *steps; /* NULL where there are none */
    struct aam_constant prefix;    /* what is written before and after it */
    struct aam_constant suffix;
    const uint8_t *shape; /* `length` bytes: a hyphen where the ID must have one */
    int64_t length;       /* that it must have; 0 for any */
    int32_t column;
    int32_t scan;     /* enum aam_scan */
    uint8_t not_zero; /* whether an ID of zeros alone is irregular */
    uint8_t nulls;    /* enum aam_nulls */
    uint8_t hashed;   /* enum aam_hashed */
    uint8_t unused[5];
    struct aam_constant name; /* of its column, where an implausible ID makes the row irregular; else empty */
};

/* What becomes of a value with control characters or double quotes: its row is irregular, or the line is without it, or
   each run of control characters becomes a space, and each double quote a single one. */
enum aam_on_bad { AAM_REJECT, AAM_DROP, AAM_CLEAN };

/* What an ID is by its form, where forms differ: digits, a device ID in lower or upper case, a hash, or any other. */
enum aam_id_form { AAM_UUID, AAM_GAID, AAM_IDFA, AAM_HASH, AAM_OTHER, AAM_ID_FORMS };

#define AAM_MOST_COMMA 16

enum { AAM_PART_COUNT = 64 }; /* parts whose values are counted; such a value of a further one is irregular */

/* The form of a line: a constant lead, its IDs, with a tab between them, then a tab and its parts, with commas between
   them. A line of IDs alone has no parts; else a row without a value is irregular. */
struct aam_form {
    const uint8_t *lead; /* with AAM_SLACK bytes after it */
    int64_t lead_bytes;
    const struct aam_id *ids;
    int64_t id_count;
    const struct aam_part *parts;
    int64_t part_count;
    struct aam_words nulls;   /* texts that are not values */
    struct aam_words doubted; /* words that most likely mean a missing value: such values are counted */
    struct aam_words no_ids;  /* words that no ID is */
    int64_t longest_line;     /* bytes */
    int64_t comma_bytes;  /* of what is written for a comma in a value; -1: it stays */
    uint8_t comma[AAM_MOST_COMMA];
    int32_t on_bad;    /* enum aam_on_bad */
    uint8_t bad_byte;  /* a byte that no line may hold but in texts of the form */
    uint8_t clears;    /* whether a row without values and items has a line, too, which ends in a tab */
    uint8_t unused[2];
    /* Of each `aam_id_form` that the first ID has, the form that its line has instead, or NULL where such a row is
       irregular; NULL where all lines have this form. None of these has such forms itself. */
    const struct aam_form *const *of_ids;
};

/* A column of string views, as Arrow has them, and the buffers in which the longer strings are. */
struct aam_views {
    const uint8_t *views; /* 16 bytes for each string */
    int64_t rows;
    const uint8_t *const *buffers;
    const int64_t *sizes; /* of the buffers, in bytes */
    int64_t buffer_count;
    const uint8_t *valid; /* a bit for each row, from bit `first_valid` on, 0 where it is null; NULL where none is */
    int64_t valid_bytes;
    int64_t first_valid;
};

/* A value: `readable` bytes may be read from its start on, `length` of them are its own. */
struct aam_field {
    const uint8_t *start;
    int64_t length;
    int64_t readable;
};

/* A text that begins at the start of a row. */
struct aam_text {
    const uint8_t *start;
    int64_t size;     /* bytes */
    int64_t room;     /* bytes that may be read: AAM_SLACK more than `size`, or more than that */
    int64_t newlines; /* set: how many are in what was parsed */
};

/* Delimited text: the bytes of its dialect, and where the values of a row go. */
struct aam_layout {
    const int32_t *slots; /* for each field of a row the index of its column; `columns` where no column needs it */
    int64_t fields;       /* that a row must have */
    int64_t columns;
    int64_t longest; /* bytes from the start of a row in which its quotes have to be closed */
    const uint8_t *meanings; /* 256: what a byte after a backslash stands for: itself, another one, or a backslash that
                                it stays after; NULL where all backslashes are text */
    uint8_t separator;
    uint8_t quote;       /* 0 where there is none */
    uint8_t comment;     /* what lines that are no rows begin with; 0 where there are none */
    uint8_t skips_spaces; /* whether spaces before values and around quotes are left out */
    uint8_t is_crlf;     /* whether rows end in CR LF: an LF alone is inside a row */
    uint8_t empty_last;  /* whether the last field of each row must be empty */
    uint8_t unused[2];
};

/* A key that is read, of an object or of an object inside it. There may be two of one name: of a value and a node. */
struct aam_key {
    const uint8_t *start;
    int64_t length;
    int32_t parent; /* the node of the object that it is in: 0 for that of the line */
    int32_t node;   /* of the object that is its value; 0: it is the key of a value */
    int32_t slot;   /* of a value: its field */
    int32_t column; /* and the column that this is for */
    uint8_t is_exact; /* whether a value is irregular that is neither a text nor a whole number */
    uint8_t list;     /* enum aam_list */
    uint8_t unused[6];
};

/* The keys that are read, and how many fields their values take. `fallbacks` has a field for each column, which is
   taken where its own is not there, or -1. */
struct aam_keys {
    const struct aam_key *keys;
    int64_t count;
    int64_t slots;
    int64_t columns;
    int64_t nodes; /* that of the line included */
    const int32_t *fallbacks;
};

enum { AAM_MOST_NODES = 32 };

/* Where a text is that is split into rows (split.c). */
struct aam_split {
    int64_t depth;   /* of the lists and objects that are open */
    int64_t written; /* set: bytes */
    uint8_t in_list; /* whether the outermost one is a list, whose items are rows: 0 or 1 */
    uint8_t has_content; /* whether a row has begun */
    uint8_t in_string;
    uint8_t is_escaped; /* the next byte of a string */
    uint8_t unused[4];
};

enum aam_rule { AAM_TOO_SHORT, AAM_TOO_LONG, AAM_MISQUOTED, AAM_NOT_UTF8, AAM_NOT_JSON, AAM_UNCERTAIN, AAM_TORN };

/* A row that could not be parsed. */
struct aam_malformed {
    int64_t newlines; /* before it, in all texts */
    int64_t lines;    /* made before it */
    int64_t text;     /* the number of its text */
    int64_t start;    /* in its text, in bytes */
    int64_t length;   /* without the newline at its end */
    int64_t rule;     /* enum aam_rule */
};

/* What there is too little room for. */
enum aam_room { AAM_ROOM_LINES, AAM_ROOM_ENDS, AAM_ROOM_VIEWS, AAM_ROOM_MALFORMED, AAM_ROOM_SCRATCH };

/* Where parsed rows go: to lines, to views where no line is made of them, or to the malformed ones. A call that returns
   AAM_FULL has done all of what stands here; given more room for what `full` says, the next call goes on after it. */
struct aam_sink {
    uint8_t *lines; /* AAM_SLACK bytes more than lines take */
    int64_t lines_room;
    int64_t *ends; /* where each line ends, in bytes from the start of the first one */
    int64_t ends_room;
    int64_t *line_numbers; /* of each line, as `numbers`, in as much room as `ends` has; or NULL */
    uint8_t *line_forms; /* of each line the `aam_id_form`, where lines have several forms, in as much room; or NULL */
    uint8_t *views;    /* of the rows without a line, one column after the other; NULL: the caller has the values */
    int64_t *numbers;  /* for each of these rows: newlines before it in all texts, or its index among the rows */
    int64_t *positions; /* and lines made before it */
    int64_t views_room; /* rows */
    struct aam_malformed *malformed;
    int64_t malformed_room;
    uint8_t *scratch; /* values that do not stand in the text as they are */
    int64_t scratch_room;
    struct aam_field *fields; /* for the values of a row: one for each column, and one more */
    int64_t fields_room;
    /* Where the next call goes on: */
    int64_t text;     /* which one */
    int64_t at;       /* byte of it, or row */
    int64_t newlines; /* before that, in all texts */
    int64_t state;    /* what else the loop knows of the text; 0 at its start */
    int64_t full;     /* enum aam_room */
    /* Counts: */
    int64_t made; /* lines */
    int64_t lines_bytes;
    int64_t kept; /* rows without a line */
    int64_t malformed_rows;
    int64_t blank;
    int64_t broken; /* values of rows that hold newlines */
    int64_t scratch_bytes; /* of the rows without a line */
    int64_t signals;
    int64_t missing; /* values */
    int64_t dropped; /* values that hold what none may */
    int64_t cleaned; /* values from which that was removed */
    int64_t commas;  /* values in which commas were replaced */
    int64_t changed[AAM_STEP_COUNT]; /* IDs that a step has changed */
    int64_t doubted[AAM_PART_COUNT]; /* values that are words for missing ones, by their part */
};

/* A line, by the hash of its ID. */
struct aam_row {
    uint64_t hash;
    int64_t row;
};

/* A text that is sorted: an ID, a signal, or a line. */
struct aam_item {
    uint64_t key; /* what it is sorted by before its bytes: of two texts, the lesser one has no greater key */
    int64_t rank;
    const uint8_t *start;
    int64_t row;
    uint32_t length;
    uint32_t outcome; /* enum aam_outcome, or AAM_SAME as the item before */
};

/* What becomes of a signal. What becomes of a row is the first of those of its signals. */
enum aam_outcome {
    AAM_WRITTEN, AAM_CONFLICT, AAM_SEVERAL, AAM_CUT, AAM_SUPERSEDED, AAM_REPEATED, AAM_OUTCOMES, AAM_SAME
};

enum aam_gather_room { AAM_ROOM_ITEMS, AAM_ROOM_TEXT, AAM_ROOM_TEXT_ENDS };

/* What is gathered so far. */
struct aam_gathered {
    int64_t text_bytes;
    int64_t lines;
    int64_t users; /* with a line */
    int64_t over;  /* users who have more lines than a user may */
    int64_t signals[AAM_OUTCOMES]; /* by what becomes of them; signal by signal, duplicates are repeated ones */
};

/* Whole users (gather.c): their lines, what becomes of them, and where the lines go that are made. A call that returns
   AAM_FULL has done the users before; given the room that is needed for what `full` says, the next call goes on. */
struct aam_gather {
    const uint8_t *lines;
    int64_t size; /* bytes */
    const int64_t *ends;
    const uint64_t *order; /* of each line: what lines are sorted by, or as an int64 how late its signals are; or NULL */
    int64_t order_room;
    int64_t count;
    int64_t skipped; /* fields before the ID */
    int64_t most_line_bytes;
    int64_t most_lines; /* of a user */
    uint8_t by_signal;
    uint8_t reject_several; /* whether of several values of a key none is written, where there is no order */
    uint8_t drop_repeated;  /* whether a line is written once */
    uint8_t unused[5];
    struct aam_row *rows; /* two for each line */
    int64_t rows_room;
    struct aam_item *items; /* four for each line or signal of a user suffice */
    int64_t items_room;
    uint8_t *text; /* AAM_SLACK bytes more than lines take */
    int64_t text_room;
    int64_t *text_ends; /* of lines */
    int64_t text_ends_room;
    int64_t *users; /* of each user the index of its first line, and the end: one entry more than there are lines */
    int64_t users_room;
    int64_t *user_rows; /* of each user how many lines are written as they were given, or a signal of them is */
    int64_t user_rows_room;
    uint8_t *outcomes; /* of each line */
    int64_t outcomes_room;
    /* Where the next call goes on: */
    int64_t is_sorted; /* whether the rows are */
    int64_t done;      /* rows */
    int64_t run;       /* the first of those whose leading bits are equal to those of the next one */
    int64_t lead;      /* leading bits of the hashes that are equal */
    int64_t bits;      /* after these that rows are sorted by */
    int64_t full;      /* enum aam_gather_room */
    int64_t needed;    /* entries, or bytes */
    struct aam_gathered made;
};

/* Texts, or other bytes, one after the other: where they go, and where each of them ends. */
struct aam_kept {
    uint8_t *bytes;
    int64_t room;
    int64_t *ends;
    int64_t ends_room;
    int64_t used; /* bytes */
};

/* What is known of a user: its ID, the traits that are added to it and those that are removed, with commas between them,
   and a hash of four bytes of each key, or of each other signal that has none. */
enum aam_of_user { AAM_OF_ID, AAM_OF_ADDED, AAM_OF_REMOVED, AAM_OF_KEYS, AAM_OF_USER };

/* The lines of users (users.c), and what is known of them. */
struct aam_users {
    const uint8_t *lines;
    int64_t size; /* bytes */
    const int64_t *ends;
    int64_t count;
    const int64_t *firsts; /* of each user the index of its first line, and the number of lines */
    int64_t firsts_room;
    int64_t skipped;        /* fields before the ID */
    uint64_t key[2];        /* of the hashes */
    struct aam_item *items; /* as many as the longest line has bytes, and one more */
    int64_t items_room;
    struct aam_kept kept[AAM_OF_USER];
};

/* What is noted of a user whose lines were sent before. */
enum aam_note {
    AAM_OMITTED = 1, /* its line has come, as it was, and need not be taken */
    AAM_TAKEN = 2,   /* a line of it was taken */
    AAM_DUE = 4,     /* its lines are to be taken in any case */
    AAM_LACKING = 8, /* the line that was omitted is to be taken after all */
    AAM_NOTES = 15,
};

/* A user whose lines were sent before, by the first words of keyed hashes. */
struct aam_past_user {
    uint64_t id;
    uint64_t lines; /* of its lines, one after the other; but the lowest bits are notes, which threads may share */
};

/* Users whose lines were sent before, in the order of the hashes of their IDs. */
struct aam_past {
    struct aam_past_user *users;
    int64_t count;
    const uint32_t *starts; /* for each value of the leading bits of the IDs' hashes how many users are before it; and
                               `count` */
    int64_t starts_room;
    int64_t bits; /* leading bits, 1 to AAM_MOST_PAST_BITS */
};

enum { AAM_MOST_PAST_BITS = 31 };

/* Lines that may be known (known.c). */
struct aam_known {
    const uint8_t *lines;
    int64_t size; /* bytes */
    const int64_t *ends;
    int64_t count;
    int64_t skipped;              /* fields before the ID */
    uint64_t key[2];              /* of the hashes */
    const struct aam_past *files; /* for each value of the leading bits of the hash of an ID */
    int64_t files_room;
    int64_t file_bits;
    int64_t *taken; /* set: the indices of the lines that are to be taken */
    int64_t taken_room;
    int64_t taken_count;
    uint8_t is_again; /* whether the lines have come before: then those that are lacking are taken */
    uint8_t unused[7];
};

/* An ID in a line of an inbound file: each byte has classes, bits of which at least one must be in `shape` at its place;
   or, where the ID may have any length, the lowest one. A newline has none. */
struct aam_id_shape {
    const uint8_t *classes; /* 256 */
    const uint8_t *shape;   /* `length` bytes */
    int64_t length;         /* 0 for any but none */
    uint8_t scan;           /* whether an ID that may be personal data is not plain */
    uint8_t unused[7];
};

/* What plain lines of an inbound file are (check.c): IDs with tabs between them, the last of `ids` standing for all that
   follow, and signals. */
struct aam_line_form {
    const struct aam_id_shape *ids;
    int64_t id_count;
    int64_t least_ids; /* in a line without signals; in one with signals there are `most_ids` */
    int64_t most_ids;
    int64_t longest; /* bytes of a line, with its newline */
    uint8_t has_signals;
    uint8_t removes; /* whether traits may be removed */
    uint8_t unused[6];
};

/* The lines that are not plain. */
struct aam_doubted {
    int64_t *numbers; /* lines before each of them */
    int64_t *starts;  /* bytes */
    int64_t *ends;    /* after the newline */
    int64_t room;
    int64_t count;
    int64_t lines;   /* all of them, plain ones as well */
    int64_t signals; /* of plain lines */
};

/* Keys with counts (earlier.c): two words each. */
struct aam_segment {
    uint64_t *entries; /* zeros where they are free */
    int64_t room;      /* entries */
    int64_t used;
};

/* What became of earlier lines, and what becomes of the next ones. */
struct aam_earlier {
    struct aam_segment *segments;
    int64_t segment_count; /* two to the power of `bits` */
    int64_t bits;
    const uint64_t *lines; /* of each row the key of its line, or NULL where lines may be repeated */
    const uint64_t *users; /* of each row the key of its user, or NULL where users may have any number of lines */
    int64_t count;         /* rows */
    int64_t most_lines;    /* of a user */
    uint8_t *outcomes;     /* of each row: AAM_WRITTEN, AAM_REPEATED or AAM_CUT */
    int64_t outcomes_room;
    /* Where the next call goes on: */
    int64_t done; /* rows */
    int64_t is_counted; /* whether the line of the next row is counted already */
    int64_t full; /* the segment that is */
    int64_t over; /* users who have more lines than a user may */
};

/* What types the IDs of inbound files have the form of (seen.c). */
enum { AAM_ANY_ID = 1, AAM_NUMBER_ID = 2, AAM_LOWER_DEVICE = 4, AAM_UPPER_DEVICE = 8, AAM_HASHED_ID = 16 };

/* The users of the lines of a text. */
struct aam_seen {
    const uint64_t *key; /* of the hash: two words */
    uint8_t *counters;
    int64_t counter_count; /* two to the power of `bits` */
    int64_t bits;
    int64_t skipped;  /* fields before the ID */
    int64_t most;     /* lines of a user; counters end one above */
    int64_t pairs;    /* whether lines are IDs that belong together: each counts once for each ID after it, at least once */
    uint64_t *keys;   /* of lines whose user may have more: two words each; NULL where lines are counted */
    int64_t *numbers; /* lines before each of these */
    int64_t room;
    int64_t count;
    int64_t lines; /* all of them */
    int64_t kinds; /* bits */
    int64_t differs; /* whether first fields do, where they are skipped */
};

#endif
