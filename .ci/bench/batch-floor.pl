#!/usr/bin/perl
# The floor of `batch`: what has to happen on a host for accounts with PHP sites, done by hand and together, with nothing that
# makes it safe: no journal, no fsync, no staging, no confirmed reload. It uses the units and the nginx baseline that the worker has
# installed.
#
#   batch-floor.pl add PREFIX UID ACCOUNTS SITES    makes them, and ends when each site has answered 200; prints milliseconds
#   batch-floor.pl more PREFIX UID ACCOUNTS SITES   the same for sites of accounts that are there
#   batch-floor.pl remove-sites PREFIX UID ACCOUNTS SITES   removes the sites, and ends when they are gone
#   batch-floor.pl remove PREFIX UID ACCOUNTS SITES         removes everything
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my ($verb, $prefix, $first, $accounts, $sites) = @ARGV;
my $version = '8.2';
my $began = time;

sub put { my ($path, $text) = @_; open(my $file, '>', $path) or die "$path: $!"; print $file $text; close $file }
sub pid { open(my $file, '<', '/run/nginx.pid') or die; my $pid = <$file>; chomp $pid; $pid }
sub user { my $number = shift; "$prefix$number" }
sub sockets { map { "gantry-php$version\@" . user($_) . '.socket' } 0 .. $accounts - 1 }
# Those of `more` have names of their own.
sub domain { my $number = shift; ($verb eq 'more' ? 'more' : 'floor') . "$number.$prefix.com" }

sub make_accounts {
    my $web = getpwnam('www-data');
    open(my $sysusers, '|-', 'systemd-sysusers - 2>/dev/null') or die;
    for my $number (0 .. $accounts - 1) {
        my ($user, $uid) = (user($number), $first + $number);
        print $sysusers "g $user $uid\nu $user $uid:$uid \"floor\" /home/$user/home /usr/sbin/nologin\n";
    }
    close $sysusers;
    my $config = "[global]\nerror_log = /dev/null\ndaemonize = no\n";
    for my $number (0 .. $accounts - 1) {
        my ($user, $uid) = (user($number), $first + $number);
        my $cell = "/home/$user";
        for my $path ($cell, "$cell/htdocs", "$cell/logs") { mkdir $path, 0711; chown 0, $uid, $path }
        for my $path ("$cell/home", "$cell/tmp") { mkdir $path, 0750; chown $uid, $uid, $path }
        my $pool = "[$user]\nlisten = /run/gantry-php/$user-$version.sock\npm = ondemand\npm.max_children = 10\n"
            . "pm.process_idle_timeout = 20s\nchdir = $cell\n";
        $config .= $pool;
        put("/etc/gantry-worker/php/$user-$version.conf", "[global]\nerror_log = /dev/null\ndaemonize = no\n$pool");
        chmod 0644, "/etc/gantry-worker/php/$user-$version.conf";
        my $unit = "gantry-php$version\@$user.socket";
        symlink "/etc/systemd/system/gantry-php$version\@.socket", "/etc/systemd/system/sockets.target.wants/$unit";
    }
    put('/run/floor.conf', $config);
    chmod 0644, '/run/floor.conf';
    system("setpriv --reuid 65534 --regid 65534 --clear-groups php-fpm$version -t --fpm-config /run/floor.conf 2>/dev/null") == 0 or die;
    system('systemctl', 'start', sockets()) == 0 or die;
}

sub make_sites {
    for my $number (0 .. $sites - 1) {
        my $owner = $number % $accounts;
        my ($user, $uid, $domain) = (user($owner), $first + $owner, domain($number));
        my $root = "/home/$user/htdocs/$domain";
        mkdir $root, 0755;
        chown $uid, $uid, $root;
        put("$root/index.php", '<?php echo "uid=", posix_getuid();');
        put("/etc/nginx/sites-available/$domain.conf", <<"VHOST");
server {
    listen 80;
    listen [::]:80;
    server_name $domain;
    root $root;
    index index.php;
    access_log /home/$user/logs/access.log;
    error_log /home/$user/logs/error.log;
    set \$socket unix:/run/gantry-php/$user-$version.sock;
    location / { try_files \$uri \$uri/ /index.php?\$args; }
    location ~ \\.php\$ {
        try_files \$uri =404;
        fastcgi_pass \$socket;
    }
}
VHOST
        symlink "../sites-available/$domain.conf", "/etc/nginx/sites-enabled/$domain.conf";
    }
    system('nginx', '-t', '-q') == 0 or die;
    kill 'HUP', pid();
    my @children;
    # Side by side, as many as the worker.
    for my $lane (0 .. 15) {
        my $child = fork;
        if ($child == 0) { for (my $number = $lane; $number < $sites; $number += 16) { answers(domain($number)) } exit 0 }
        push @children, $child;
    }
    for my $child (@children) { waitpid $child, 0; die if $? }
}

sub answers {
    my $domain = shift;
    for (1 .. 2000) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 80, Timeout => 5);
        if ($socket) {
            print $socket "GET /index.php HTTP/1.0\r\nHost: $domain\r\n\r\n";
            my $line = <$socket>;
            return if defined $line && $line =~ / 200 /;
        }
        sleep 0.005;
    }
    die "$domain does not answer";
}

sub drop_sites {
    for my $name ('floor', 'more') {
        for my $path (glob("/etc/nginx/sites-enabled/$name*.$prefix.com.conf"), glob("/etc/nginx/sites-available/$name*.$prefix.com.conf")) { unlink $path }
    }
    kill 'HUP', pid();
}

if ($verb eq 'add') {
    make_accounts();
    make_sites();
} elsif ($verb eq 'more') {
    make_sites();
} elsif ($verb eq 'remove-sites') {
    drop_sites();
    my $deadline = time + 60;
    while (time < $deadline) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 80, Timeout => 5) or die;
        print $socket "GET /index.php HTTP/1.0\r\nHost: floor0.$prefix.com\r\n\r\n";
        my $line = <$socket>;
        last unless defined $line && $line =~ / 200 /;
        sleep 0.005;
    }
} elsif ($verb eq 'remove') {
    drop_sites();
    system('systemctl', 'stop', sockets(), map { s/socket$/service/r } sockets());
    for my $number (0 .. $accounts - 1) {
        my $user = user($number);
        unlink "/etc/gantry-worker/php/$user-$version.conf", "/etc/systemd/system/sockets.target.wants/gantry-php$version\@$user.socket";
        system("userdel $user 2>/dev/null");
        system('rm', '-rf', "/home/$user");
    }
}
printf "%.1f\n", (time - $began) * 1000;
