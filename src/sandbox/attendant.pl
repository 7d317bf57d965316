# Waits for the end of a job's program and ends everything else, for supervisor.pl, whose variables it uses. It is loaded once
# the program runs, or where there is no job yet before anything waits for one.
use strict;
our ($work, $tmp, $nr, $signal_fd, $signals, $program, $cpu_ms_before, %option);
# As it was found last: bytes and files, in all places together. Unknown on the host (SANDBOX=none).
my ($written_bytes, $written_files);

sub RUSAGE_CHILDREN () { -1 } sub WNOHANG () { 1 } sub SIGKILL () { 9 } sub SIGXFSZ () { 25 }
sub DISK_FULL () { 1 } sub ENDED_FOR_DISK () { 2 } sub FILES_COME_ALONG () { 4 } sub DISK_LOOK_SEC () { 0.25 } sub STATFS_BYTES () { 120 }
sub LITTLE_BYTES () { 1 << 20 } sub LITTLE_FILES () { 64 }

sub wait_for_program {
    my ($ended, $stopping);
    my $disk = 0;
    until (defined $ended) {
        my $ready = '';
        vec($ready, $signal_fd, 1) = 1;
        vec($ready, 0, 1) = 1 unless $stopping;
        if (select($ready, undef, undef, DISK_LOOK_SEC) < 1) {
            $disk = look_at_disk() if !($disk & ENDED_FOR_DISK);
            kill_everyone() if $disk & ENDED_FOR_DISK;
            next;
        }
        sysread($signals, my $ignored, 4096) if vec($ready, $signal_fd, 1);
        if (vec($ready, 0, 1)) {
            my $got = sysread(STDIN, my $ignored, 4096);
            if (defined $got && $got == 0) { $stopping = 1; kill_everyone() }
        }
        while ((my $pid = waitpid(-1, WNOHANG)) > 0) { $ended = $? if $pid == $program }
    }
    # Reaped to the last one: what is left would write on while the files are read, and hold processes and memory.
    do { kill_everyone() } while (waitpid(-1, 0) != -1);
    return ($ended, $disk | look_at_disk() | past_file_size($ended));
}

# Where there is little to look through, the end goes out together with what is found: told alone it wakes the service, which
# may take the processor that this needs. Otherwise at once, for a job's memory that is full of files has no room to look
# through them until the service has made some (cgroup-meter.ts).
sub tell_end {
    my ($status, $disk) = @_;
    my $is_little = defined $written_bytes && $written_bytes <= LITTLE_BYTES && $written_files <= LITTLE_FILES && !has_segments();
    my $bits = $disk | ($is_little ? FILES_COME_ALONG : 0);
    my $end = pack('NNQ>N', $status & 127 ? 0 : $status >> 8, $status & 127, cpu_ms() - $cpu_ms_before, $bits);
    if ($is_little) { hold_record('E', $end) }
    else            { send_record('E', $end) }
}

# System V memory and messages outlive their processes, and take the job's memory as files do. Each list begins with a header.
sub has_segments {
    for my $kind ('shm', 'msg') {
        open(my $list, '<', "/proc/sysvipc/$kind") or return 1;
        <$list>;
        return 1 if defined <$list>;
    }
    return 0;
}

# Taking a sandbox apart keeps the kernel busy for a while: not before the service has stored the job's end. Of a step before the
# program, whose files alone are handed out, there is none.
sub wait_for_dismissal { 1 while sysread(STDIN, my $ignored, 4096) }

# On the host's file system (SANDBOX=none) the size of a file is all that is limited.
sub past_file_size { return $$ != 1 && ($_[0] & 127) == SIGXFSZ ? DISK_FULL : 0 }

# A full file system is refused to the program by the kernel; nothing but this keeps it from making files without end,
# which take kernel memory. What is on the host (SANDBOX=none) is not the job's alone.
sub look_at_disk {
    return 0 if $$ != 1;
    my $found = 0;
    my $is_known = 1;
    ($written_bytes, $written_files) = (0, 0);
    # A list of its own: syscall takes no constant.
    for my $place (my @places = ($work, $tmp, '/dev/shm')) {
        my $statfs = "\0" x STATFS_BYTES;
        if (syscall($nr->{statfs}, $place, $statfs) != 0) { $is_known = 0; next }
        # struct statfs (asm-generic/statfs.h): type, block size, blocks, free, available, files, free files
        my (undef, $block_bytes, $blocks, $free_blocks, $available, $files, $free_files) = unpack('q7', $statfs);
        $written_bytes += ($blocks - $free_blocks) * $block_bytes;
        $written_files += $files - $free_files;
        $found |= DISK_FULL if $available == 0;
        $found |= DISK_FULL | ENDED_FOR_DISK if $files - $free_files > $option{inodes};
    }
    undef $written_bytes if !$is_known;
    return $found;
}

# kill(-1) spares only PID 1 of the namespace; anywhere else it would be the end of the host.
sub kill_everyone {
    return kill SIGKILL, -1 if $$ == 1;
    kill SIGKILL, -$program;
    open(my $children, '<', "/proc/self/task/$$/children") or return;
    kill SIGKILL, split ' ', (<$children> // '');
}

# The kernel's own sum over all that were reaped: {utime, stime}, each seconds and microseconds.
sub cpu_ms {
    my $usage = "\0" x 144;
    syscall($nr->{getrusage}, RUSAGE_CHILDREN, $usage);
    my ($user_sec, $user_us, $system_sec, $system_us) = unpack('q4', $usage);
    return int(($user_sec + $system_sec) * 1000 + ($user_us + $system_us) / 1000);
}

1;
