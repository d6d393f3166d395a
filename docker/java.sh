#!/bin/sh
# Print the home of a Java that Spark 4.2 runs on (17, 21 or 25), whatever `java` on the PATH is.
# Where there is none: install it (root, Debian or Ubuntu), or say how to, and fail.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# The home of this java, if its version will do.
home_of() {
    "$1" -XshowSettings:properties -version 2>&1 | awk -F ' = ' '
        $1 ~ /java\.home$/ { home = $2 }
        $1 ~ /java\.specification\.version$/ { version = $2 }
        END { if (version != 17 && version != 21 && version != 25) exit 1; print home }'
}

find_java() {
    for java in \
        "${JAVA_HOME:-}/bin/java" \
        "$(command -v java)" \
        /usr/lib/jvm/*/bin/java \
        /opt/java/*/bin/java \
        "${HOME:-}"/.sdkman/candidates/java/*/bin/java \
        "${HOME:-}"/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java \
        /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java \
        /opt/homebrew/opt/openjdk*/bin/java \
        /usr/local/opt/openjdk*/bin/java \
        /home/linuxbrew/.linuxbrew/opt/openjdk*/bin/java
    do
        if [ -x "$java" ] && home_of "$java"; then return; fi
    done
    return 1
}

# Debian 12 has 17 and not 21; its successors have 21 and not 17; Ubuntu has both.
package=openjdk-21-jre-headless
if [ -r /etc/os-release ] && grep -q '^VERSION_CODENAME=\(bookworm\|bullseye\)' /etc/os-release; then
    package=openjdk-17-jre-headless
fi

find_java && exit
"$here/apt.sh" "$package" && find_java && exit
cat >&2 <<END
evenlake: Spark needs Java 17, 21 or 25, and none was found. Install one, then repeat the command:
  Debian, Ubuntu   sudo apt-get install $package
  Fedora, RHEL     sudo dnf install java-21-openjdk-headless
  macOS            brew install openjdk@21
A Java in an unusual place is found through JAVA_HOME.
END
exit 1
