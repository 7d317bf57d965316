# Hands the files of an ended job out, as records of supervisor.pl, which loads this and whose subs and variables it uses.
# Returns a true value to require.
use strict;
our ($work, $nr, $collected, $uncollected, %kept, %input_mark);

# Caps on what is handed out; more is left out and counted. Entries bound the time that a directory of millions costs.
sub MAX_PATH_BYTES () { 1024 } sub MAX_DEPTH () { 100 } sub MAX_ENTRIES () { 200_000 }
# Files, and all their paths together, with 8 bytes of size each as guest-output.ts counts them: they stay in the job's record.
sub MAX_FILES () { 1_000 } sub MAX_ALL_PATHS_BYTES () { 1 << 18 }
# The same of a folder that was named: what is below it goes to another guest.
sub MAX_FILES_BELOW () { 20_000 } sub MAX_ALL_PATHS_BYTES_BELOW () { 1 << 21 }

# Nothing else is alive by now, so that what lstat saw is what open finds. Paths stay far below PATH_MAX.
sub hand_out_files {
    my ($max_bytes, $started_sec) = @_;
    my ($max_files, $max_path_bytes) =
        $collected eq '' ? (MAX_FILES, MAX_ALL_PATHS_BYTES) : (MAX_FILES_BELOW, MAX_ALL_PATHS_BYTES_BELOW);
    my ($left_out, $files, $bytes, $path_bytes, $entries) = (0, 0, 0, 0, 0);
    my @directories = is_folder($collected) ? ([$collected, $collected eq '' ? 0 : 1]) : ();
    while (my $next = shift @directories) {
        my ($prefix, $depth) = @$next;
        my $directory = "$work/$prefix";
        chmod 0700, $directory if $depth;
        opendir(my $listing, $directory) or do { $left_out++; next };
        while (defined(my $name = readdir $listing)) {
            next if $name eq '.' || $name eq '..';
            if (++$entries > MAX_ENTRIES) { $left_out++; @directories = (); last }
            my $path = $prefix . $name;
            my @stat = lstat "$work/$path" or do { $left_out++; next };
            if (-d _) {
                next if defined $uncollected && $path eq $uncollected;
                if ($depth < MAX_DEPTH && length $path < MAX_PATH_BYTES) { push @directories, ["$path/", $depth + 1] }
                else                                                      { $left_out++ }
                next;
            }
            next if !-f _ || untouched_input($path, $started_sec, @stat);
            if (length $path > MAX_PATH_BYTES || $files >= $max_files || $bytes + $stat[7] > $max_bytes
                || $path_bytes + 8 + length $path > $max_path_bytes || !hand_out($path)) { $left_out++; next }
            $files++;
            $bytes += $stat[7];
            $path_bytes += 8 + length $path;
        }
    }
    send_record('T', pack('N', $left_out));
}

# The program may have put a link in the place of the folder that was made for it, or of one above it: that is none.
sub is_folder {
    my $path = $work;
    for my $part (split m{/}, $_[0]) {
        $path .= "/$part";
        return 0 unless lstat($path) && -d _;
    }
    return 1;
}

# Small ones are compared. Of the others the change time is, which a program cannot set; one within the second of the
# start tells nothing.
sub untouched_input {
    my ($path, $started_sec, @stat) = @_;
    return same_bytes($path, $stat[7]) if defined $kept{$path};
    my $mark = $input_mark{$path};
    return defined $mark && $mark eq input_mark(@stat) && $stat[10] < $started_sec;
}

sub same_bytes {
    my ($path, $size) = @_;
    return 0 if $size != length $kept{$path};
    sysopen(my $file, "$work/$path", O_RDONLY_NONBLOCK | $nr->{O_NOFOLLOW}) or return 0;
    my $got = sysread($file, my $bytes, $size + 1);
    return defined $got && $got == $size && $bytes eq $kept{$path};
}

sub hand_out {
    my ($path) = @_;
    my $flags = O_RDONLY_NONBLOCK | $nr->{O_NOFOLLOW};
    my $file;
    if (!sysopen($file, "$work/$path", $flags)) {
        chmod 0600, "$work/$path";
        sysopen($file, "$work/$path", $flags) or return 0;
    }
    my $left = -s $file;
    send_record('F', pack('Q>', $left) . $path);
    while ($left > 0) {
        my $got = sysread($file, my $chunk, $left < READ_BYTES ? $left : READ_BYTES);
        # The size is announced already: a stream that breaks off is refused as a whole.
        exit 1 if !$got;
        send_record('D', $chunk);
        $left -= $got;
    }
    return 1;
}

1;
