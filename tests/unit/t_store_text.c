/* SPDX-License-Identifier: LGPL-2.1-only */
#include "store_text.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void a_text_comes_out_as_it_went_in(void **state)
{
    static const char *const texts[] = {"", "{}", "a\nb\n", "xxh64:"};

    (void)state;
    for (enum store_text what = STORE_MANIFEST; what <= STORE_VALUE; what++) {
        for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            char *text = store_text_wrap(what, texts[i]);

            assert_non_null(text);
            assert_null(store_text_unwrap(what, text, strlen(text)));
            assert_string_equal(text, texts[i]);
            free(text);
        }
    }
}

static void a_text_too_short_is_refused(void **state)
{
    char text[] = "{\"xxh64\":\"";

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        assert_non_null(store_text_unwrap(STORE_MANIFEST, text, len));
        assert_non_null(store_text_unwrap(STORE_VALUE, text, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_comes_out_as_it_went_in),
        cmocka_unit_test(a_text_too_short_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
