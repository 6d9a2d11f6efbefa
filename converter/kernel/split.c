/* JSON whose rows are not lines: the items of a list, or objects one after the other, over any number of lines. */
#include "kernel.h"

/* Copy a text so that each row is one line. Newlines inside a row become spaces, or control characters where they
   are inside a string, which none may hold. `out` has room for two bytes for each of the text. */
AAM_ENTRY(split)(const uint8_t *text, int64_t size, uint8_t *out, int64_t room, struct aam_split *given) {
    if (size < 0 || room / 2 < size)
        return AAM_MALFORMED;
    struct aam_split state = *given;
    uint8_t *to = out;
    for (int64_t at = 0; at < size; at++) {
        uint8_t byte = text[at];
        if (state.in_string) {
            if (state.is_escaped)
                state.is_escaped = false;
            else if (byte == '\\')
                state.is_escaped = true;
            else if (byte == '"')
                state.in_string = false;
            *to++ = byte == '\n' ? 1 : byte;
            continue;
        }
        bool is_outside = state.depth == state.in_list; /* of the values of a row */
        bool ends = false;
        switch (byte) {
        case ' ':
        case '\t':
        case '\r':
            if (state.has_content)
                *to++ = byte;
            continue;
        case '\n':
            if (!state.has_content)
                continue;
            ends = state.depth == 0;
            byte = ' ';
            break;
        case ',':
            if (is_outside && !state.in_list && !state.has_content)
                continue;
            ends = is_outside && state.in_list;
            break;
        case '[':
            if (state.depth == 0 && !state.has_content) {
                state.depth = state.in_list = 1;
                continue;
            }
            state.depth++;
            break;
        case '{':
            state.depth++;
            break;
        case ']':
            if (is_outside && state.in_list) {
                if (state.has_content)
                    *to++ = '\n';
                state.depth = state.in_list = state.has_content = 0;
                continue;
            }
            state.depth -= !is_outside;
            break;
        case '}':
            state.depth -= !is_outside;
            if (state.depth == 0) {
                *to++ = byte;
                ends = true;
            }
            break;
        case '"':
            state.in_string = true;
            break;
        }
        *to++ = ends ? '\n' : byte;
        state.has_content = !ends;
    }
    state.written = to - out;
    *given = state;
    return AAM_OK;
}
