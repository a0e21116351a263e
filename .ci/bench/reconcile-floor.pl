#!/usr/bin/perl
# Looks at every vhost, link, pool, slice and folder that Gantry made, and compares what it finds with what it found before.
# Prints the milliseconds of each pass but the first.
use strict;
use warnings;
use Time::HiRes qw(time);

my $times = shift // 10;

sub look {
    my %found;
    for my $file (glob('/etc/nginx/sites-available/*.conf /etc/nginx/gantry/*.conf /etc/gantry-worker/php/*.conf /etc/systemd/system/gantry-*.slice')) {
        my @stat = lstat $file;
        open my $handle, '<', $file or die "$file: $!";
        local $/;
        $found{$file} = join ' ', @stat[2, 4, 5, 7], scalar <$handle>;
    }
    $found{$_} = readlink $_ for glob('/etc/nginx/sites-enabled/*.conf');
    for my $folder (glob('/home/*/ /home/*/{htdocs,logs,home,tmp} /home/*/logs/*.log /home/*/htdocs/*')) {
        my @stat = lstat $folder;
        $found{$folder} = join ' ', @stat[2, 4, 5];
    }
    return \%found;
}

my $before = look();
for (1 .. $times) {
    my $began = time;
    my $now = look();
    my $differ = grep { ($before->{$_} // '') ne $now->{$_} } keys %$now;
    die "$differ differ" if $differ;
    printf "%.1f\n", 1000 * (time - $began);
}
