<?php
// A tenant puts links, pipes and folders in root's way, everywhere he can: php fight.php USER SECONDS. He clears up in the end.
[, $user, $seconds] = $argv;
$end = microtime(true) + (float) $seconds;
$places = array_merge(["/home/$user/home", "/home/$user/tmp"], glob("/home/$user/htdocs/*") ?: []);
$made = [];
for ($n = 0; microtime(true) < $end; $n++) {
    foreach ($places as $place) {
        foreach (['fight', 'public', 'index.html'] as $name) {
            $path = "$place/$name";
            if (!isset($made[$path]) && file_exists($path)) {
                continue;
            }
            $made[$path] = true;
            @unlink($path) || @rmdir($path);
            match ($n % 4) {
                0 => @symlink('/etc/shadow', $path),
                1 => @posix_mkfifo($path, 0666),
                2 => @mkdir($path),
                3 => @symlink('/home', $path),
            };
            @rename($path, "$path.moved");
            @rename("$path.moved", $path);
        }
        @chmod($place, [0700, 0750, 0711][$n % 3]);
    }
}
foreach (array_keys($made) as $path) {
    @unlink($path) || @rmdir($path);
}
foreach ($places as $place) {
    @chmod($place, str_contains($place, '/htdocs/') ? 0750 : 0700);
}
