#!/bin/sh
# Restyles clip art of clothes by photographs, all from Debian packages: 178 MB are downloaded through apt, unpacked into a
# folder and removed with it; nothing is installed. A picture's licence is that of its package (usr/share/doc there).
#
#   recipes/debian-pictures.sh [FOLDER]     sheets in FOLDER/sheets (default: debian-pictures)
#
# TOILE names the program (default: target/release/toile); further options for `toile stylize` go into OPTIONS.
set -eu
toile=$(realpath "${TOILE:-target/release/toile}")
folder=${1:-debian-pictures}
mkdir -p "$folder/sheets"
cd "$folder"

clothes=usr/share/openclipart/png/people/clothing
photos=usr/share/backgrounds/mate
if [ ! -d "$clothes" ] || [ ! -d "$photos" ]; then
    apt-get download openclipart-png mate-backgrounds
    for package in openclipart-png_*.deb mate-backgrounds_*.deb; do
        dpkg-deb -x "$package" .
    done
fi

# NAME CONTENT STYLE...: styles by strengths in one sheet.
sheet() {
    name=$1
    shift
    # shellcheck disable=SC2086
    [ -e "sheets/$name.png" ] || "$toile" stylize "$@" --sheet "sheets/$name.png" ${OPTIONS:-}
}
sheet t-shirt "$clothes/t-shirt_03.png" "$photos/nature/FreshFlower.jpg" "$photos/desktop/Stripes.png"
sheet shirt "$clothes/camicia_in_seta_architet_01.png" "$photos/abstract/Elephants.jpg" "$photos/nature/Wood.jpg"
sheet boot "$clothes/hiking_boot_jarno_vasama_.png" "$photos/nature/Garden.jpg" "$photos/nature/RainDrops.jpg"
sheet mitten "$clothes/mitten_nathan_eady_01.png" "$photos/abstract/Waves.png" "$photos/nature/YellowFlower.jpg"
echo "look at $folder/sheets"
