#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The front: ours run, everything else reaches the real xl as it was typed,
# and two fronts in one PATH do not run in a ring.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
echo | script

real=$tmp/real front=$tmp/front ours="$tmp/our libexec" xens=$tmp/xen
mkdir "$real" "$front" "$ours" "$xens" || exit 99
sed -e "s|@XL_LIBEXEC@|$ours|" -e "s|@XEN_LIBEXEC_BIN@|$xens|" \
    "$top/xl-plugin/xl.in" >"$front/xl" || exit 99
chmod +x "$front/xl"

# Says who it is and each argument, between brackets; then obeys $THEN.
program() { # FILE NAME
    cat >"$1" <<P
#!/bin/sh
printf '$2'
for arg; do printf '[%s]' "\$arg"; done
echo
eval "\${THEN-}"
P
    chmod +x "$1"
}
program "$real/xl" real
program "$ours/xl-checkpoint" ours
program "$ours/xl-both" ours
program "$xens/xl-both" xens
program "$xens/xl-theirs" xens
# these must never be run
mkdir "$ours/xl-sub" "$ours/xl-folder"
for name in xl- xl--v xl-- xl-sub/prog xl-.; do
    program "$ours/$name" NEVER
done
program "$ours/xl-plain" NEVER
chmod -x "$ours/xl-plain"
# like the one installed, for `xl help`
ln -s "$fake" "$ours/xl-ckpt"

export PATH="$tmp/no such folder:$front:$real:/usr/bin:/bin"
newline=$'a b\n*\n'

says() { # WANTED ARGS...
    local wanted=$1 text

    shift
    # a dot, or $() would eat newlines at the end
    text=$($shell "$front/xl" "$@" && echo .)
    [ "$text" = "$wanted"$'\n.' ] ||
        fail "$shell: xl $*: '$text', not '$wanted'"
}

front_tests() {
    says "real[list]" list
    says "real[list][$newline][][-x][']" list "$newline" '' -x "'"
    says "real[-v][-tT][list][-l]" -v -tT list -l
    says "real[-N][create][x.cfg]" -N create x.cfg
    says "real[--][list]" -- list
    says "real[-vx][checkpoint]" -vx checkpoint
    says "real[--help]" --help
    says "real[--version][checkpoint]" --version checkpoint
    says "real[-][checkpoint]" - checkpoint
    says "real[][checkpoint]" '' checkpoint
    says "real[-v]" -v
    says "real[check][web1]" check web1
    says "real[checkpointx]" checkpointx
    says "real[folder]" folder
    says "real[plain]" plain
    says "real[sub/prog]" sub/prog
    says "real[./both]" ./both
    says "real[../xen/xl-both]" ../xen/xl-both
    says "real[--][-v]" -- -v
    says "real[--][--]" -- --
    says "ours[web1]" checkpoint web1
    says "ours[web1][$newline][][-x][']" checkpoint web1 "$newline" '' -x "'"
    says "ours" checkpoint
    says "ours[web1]" -- checkpoint web1
    says "ours[-v][web1]" -v checkpoint web1
    says "ours[-vvtT][-n][x]" -v -vt -T checkpoint -n x
    says "ours[-tv][web1]" -ftfvf checkpoint web1
    says "ours[web1]" -f checkpoint web1
    says "ours[a]" both a
    says "xens[a]" theirs a

    # a dry run that would not be one
    for words in '-N' '-vN' '-v -N'; do
        # shellcheck disable=SC2086
        text=$($shell "$front/xl" $words checkpoint web1 2>"$tmp/err")
        status=$? what="xl $words checkpoint"
        exits 1
        [ -z "$text" ] || fail "$what runs it"
        has 'does not implement -N' "$tmp/err"
    done

    # help
    says "real[help][list]" help list
    says "real[-v][help][folder]" -v help folder
    says "ours[--help]" help checkpoint
    says "ours[--help]" -v help checkpoint
    says "xens[--help]" help theirs
    for words in '' help '-v help' 'help help'; do
        # shellcheck disable=SC2086
        THEN='exit 3' $shell "$front/xl" $words >"$tmp/out"
        status=$? what="xl $words"
        exits 3
        has "real${words:+[${words// /][}]}" "$tmp/out"
        has ' checkpoint          Take a checkpoint' "$tmp/out"
        has ' checkpoint-verify   Read' "$tmp/out"
    done

    # status, and death by a signal
    for words in list 'checkpoint x'; do
        for wanted in 1 42 255; do
            # shellcheck disable=SC2086
            THEN="exit $wanted" $shell "$front/xl" $words >"$tmp/out"
            status=$? what="xl $words"
            exits "$wanted"
        done
        # shellcheck disable=SC2086
        THEN='kill -TERM $$' $shell "$front/xl" $words >"$tmp/out"
        status=$? what="xl $words"
        exits 143
        # it is the same process: no shell waits beside it
        # shellcheck disable=SC2086
        THEN='echo $$' $shell "$front/xl" $words >"$tmp/out" &
        wait $!
        has "$!" "$tmp/out"
    done

    # descriptors, and variables named as a script might name its own
    # shellcheck disable=SC2016
    text=$(THEN='cat; cat <&3; echo $word$real$status$rest$xl_word' word=1 \
        real=2 status=3 rest=4 $shell "$front/xl" list \
        < <(echo hello) 3< <(echo three))
    [ "$text" = $'real[list]\nhello\nthree\n1234' ] ||
        fail "$shell: descriptors or variables: $text"
}

for shell in '' dash bash 'bash --posix' 'busybox sh'; do
    [ -z "$shell" ] || command -v "${shell%% *}" >/dev/null || continue
    front_tests
done
shell=''

# which is the real one
says_to() { # WANTED VARIABLE=VALUE...
    local wanted=$1 text

    shift
    text=$(env "$@" "$front/xl" list)
    [ "$text" = "$wanted" ] || fail "$*: xl list: '$text', not '$wanted'"
}
mkdir "$tmp/front2" "$tmp/front3" "$tmp/a folder" "$tmp/not"
sed 's/xen-utils/something/' "$front/xl" >"$tmp/front2/xl"
chmod +x "$tmp/front2/xl"
ln -s ../front/xl "$tmp/front3/xl"
program "$tmp/a folder/xl" other
mkdir "$tmp/not/xl"
base=/usr/bin:/bin
says_to 'real[list]' "PATH=$front:$front:$real:$base"
says_to 'real[list]' "PATH=$tmp/front3:$front:$tmp/front2:$real:$base"
says_to 'real[list]' "PATH=$tmp/front2:$tmp/front2:$front:$real:$base"
says_to 'real[list]' "PATH=$real:$front:$base"
says_to 'real[list]' "PATH=$tmp/not:$front:$real:$base"
says_to 'other[list]' "PATH=$front:$tmp/a folder:$real:$base"
says_to 'other[list]' "XL_REAL=$tmp/a folder/xl"
(
    cd "$tmp/a folder" || exit 99
    says_to 'other[list]' "PATH=$front::$real:$base"
) || exit
what="no real xl"
if [ ! -e /usr/sbin/xl ] && [ ! -e /sbin/xl ]; then
    PATH=$front:$tmp/front2:$tmp/front3:$base "$front/xl" list 2>"$tmp/err"
    status=$?
    exits 127
    has 'the real xl is not in PATH' "$tmp/err"
fi
for file in "$front/xl" "$tmp/front2/xl" "$tmp/front3/xl" /nonexistent "$tmp"; do
    XL_REAL=$file timeout 10 "$front/xl" list 2>"$tmp/err"
    status=$? what="XL_REAL=$file"
    exits 127
    has "XL_REAL=$file" "$tmp/err"
done

# the folder by the environment, as from a build tree
text=$(XENCKPT_LIBEXEC=$bin "$front/xl" checkpoint --version)
[ "$text" = 'xl-ckpt 0.0.0' ] || fail "XENCKPT_LIBEXEC is not used"
