#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# Every metric the dashboard asks for is one that ckptd gives, with its help.
set -eu -o pipefail
python3 - <<'PY'
import json, re
asked = set()
for panel in json.load(open('ckptd/grafana.json', encoding='utf-8'))['panels']:
    for target in panel['targets']:
        asked.update(re.findall(r'ckptd_\w+', target['expr']))
source = open('ckptd/metrics.c', encoding='utf-8').read()
given = {'ckptd_' + n for n in re.findall(r'head\(f, "(\w+)"', source)}
given |= {'ckptd_' + n for n in re.findall(r'\{"(\w+)", "[A-Z]', source)}
missing = asked - given
assert not missing, missing
assert len(asked) > 8
PY
