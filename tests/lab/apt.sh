# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Debian's archive as this machine's own apt knows it. Mirrors, proxies and
# checks come from the machine's configuration at run time; none is named here.

# apt_lines TYPE: one line of the old sources format for each of Debian's own
# indexes on this machine. TYPE is deb or deb-src.
apt_lines() {
    # shellcheck disable=SC2016 # apt expands these, not the shell
    apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
        --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
        sort -u | grep -v -- '-backports ' | sed "s/^/$1 /"
}

# apt_suite: the code name of the release this machine runs.
apt_suite() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# apt_acquire: how this machine fetches (proxies, dates), as apt.conf lines.
apt_acquire() { apt-config dump | grep -E '^Acquire::(Check|http|https|Retries)' || :; }

# apt_source DIR PACKAGE: download the newest source of PACKAGE that can be had
# into DIR. The source index is fetched with a private configuration, because
# machines seldom have one.
apt_source() {
    local dir=$1 package=$2 state version
    state=$dir/apt
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    apt_lines deb-src >"$state/sources.list"
    {
        apt_acquire
        printf 'Dir::Etc::sourcelist "%s";\n' "$state/sources.list"
        printf 'Dir::Etc::sourceparts "-";\n'
        printf 'Dir::State::lists "%s";\n' "$state/lists"
        printf 'Dir::Cache "%s";\n' "$state/cache"
        printf 'APT::Sandbox::User "root";\n'
    } >"$state/apt.conf"
    (
        export APT_CONFIG=$state/apt.conf
        cd "$dir" || exit
        apt-get -q update >apt/log 2>&1 || { cat apt/log >&2; exit 1; }
        # Newest first. A security archive may list a source it does not hold.
        for version in $(apt-cache showsrc "$package" |
            sed -n 's/^Version: //p' | sort -uVr); do
            if apt-get -q source --download-only "$package=$version" \
                >>apt/log 2>&1; then
                echo "$version" >"$package.version"
                exit 0
            fi
        done
        cat apt/log >&2
        exit 1
    )
}
