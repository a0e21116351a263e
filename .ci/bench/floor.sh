#!/usr/bin/env bash
# The floor of `click`: what has to happen on a host for a new account with a PHP site, done by hand, with nothing that makes it
# safe: no queue, no bus, no journal, no fsync, no staging, no probe. Reads `add USER UID DOMAIN` and `remove USER UID DOMAIN`
# from standard input and answers `done`. It uses the units that the worker has installed.
set -euo pipefail
VERSION=8.2

# The web server may pass, as in the worker's cells.
enter() { if command -v setfacl >/dev/null; then setfacl -m u:www-data:"$1" "${@:2}"; else chmod o+"$1" "${@:2}"; fi; }

add() {
    local user=$1 uid=$2 domain=$3 cell=/home/$1
    printf 'g %s %s\nu %s %s:%s "floor" %s/home /usr/sbin/nologin\n' "$user" "$uid" "$user" "$uid" "$uid" "$cell" | systemd-sysusers - 2>/dev/null
    install -d -m 750 -o root -g "$user" "$cell" "$cell/htdocs" "$cell/logs"
    install -d -m 750 -o "$user" -g "$user" "$cell/home" "$cell/tmp" "$cell/htdocs/$domain"
    enter x "$cell" "$cell/htdocs" "$cell/logs"
    enter rx "$cell/htdocs/$domain"
    echo '<?php echo "uid=", posix_getuid();' > "$cell/htdocs/$domain/index.php"
    chown "$user:$user" "$cell/htdocs/$domain/index.php"
    : > "$cell/logs/php.log"
    chown "$user" "$cell/logs/php.log"
    cat > "/etc/gantry-worker/php/$user-$VERSION.conf" <<POOL
[global]
error_log = $cell/logs/php.log
daemonize = no
[$user]
listen = /run/gantry-php/$user-$VERSION.sock
pm = ondemand
pm.max_children = 10
pm.process_idle_timeout = 20s
chdir = $cell
php_admin_value[open_basedir] = $cell
POOL
    chmod 644 "/etc/gantry-worker/php/$user-$VERSION.conf"
    # As the user who will run it: as root PHP-FPM wants a user in the file.
    setpriv --reuid "$user" --regid "$user" --clear-groups "/usr/sbin/php-fpm$VERSION" -t --fpm-config "/etc/gantry-worker/php/$user-$VERSION.conf" 2>/dev/null
    ln -sf "/etc/systemd/system/gantry-php$VERSION@.socket" "/etc/systemd/system/sockets.target.wants/gantry-php$VERSION@$user.socket"
    systemctl start "gantry-php$VERSION@$user.socket"
    cat > "/etc/nginx/sites-available/$domain.conf" <<VHOST
server {
    listen 80;
    listen [::]:80;
    server_name $domain;
    root $cell/htdocs/$domain;
    index index.php;
    access_log $cell/logs/access.log;
    error_log $cell/logs/error.log;
    set \$socket unix:/run/gantry-php/$user-$VERSION.sock;
    location / { try_files \$uri \$uri/ /index.php?\$args; }
    location ~ \.php\$ {
        try_files \$uri =404;
        fastcgi_pass \$socket;
    }
}
VHOST
    ln -sf "/etc/nginx/sites-available/$domain.conf" "/etc/nginx/sites-enabled/$domain.conf"
    nginx -t -q
    kill -HUP "$(cat /run/nginx.pid)"
}

remove() {
    local user=$1 domain=$3
    rm -f "/etc/nginx/sites-enabled/$domain.conf" "/etc/nginx/sites-available/$domain.conf"
    kill -HUP "$(cat /run/nginx.pid)"
    systemctl stop "gantry-php$VERSION@$user.socket" "gantry-php$VERSION@$user.service"
    rm -f "/etc/systemd/system/sockets.target.wants/gantry-php$VERSION@$user.socket" "/etc/gantry-worker/php/$user-$VERSION.conf"
    userdel "$user" 2>/dev/null || true
    rm -rf "/home/${user:?}"
}

while read -r verb user uid domain; do
    case $verb in
        add) add "$user" "$uid" "$domain" ;;
        remove) remove "$user" "$uid" "$domain" ;;
        *) exit 1 ;;
    esac
    echo 'done'
done
