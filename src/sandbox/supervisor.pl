# PID 1 of a sandbox: takes a job from a pipe, runs it, ends everything, hands the files out.
#
#   perl supervisor.pl MACHINE RESULT_FD OUT_FD ERR_FD WORK_DIR TMP_DIR
#
# stdin is the control pipe: records that describe the job, up to "go"; its end after that means "stop the program", and once
# the files are out "go away". Its end before "go" means that the service is gone or wants no run: exit 125, and nothing ran.
# RESULT_FD takes our records.
# A record, both ways, is one type byte, a 32-bit big-endian length and so many bytes of payload. This framing is our
# own instead of tar: both parsers stay small and strict, no tar binary meets the job's environment, and there are no
# extension headers that make a reader buffer without bound. guest-input.ts writes ours, guest-output.ts reads ours.
#
#   in:   O name=number (option)   A argument   V NAME=value   G go
#         F path, or X path of a file that can be executed   D bytes of the file or of stdin   I stdin
#         C path of a folder that is made, outside of which no file is collected
#         K path of a folder of which no file is collected
#         H go, on the interpreter that waits; and where no job is there yet, ahead of all this, W wait, after the
#         interpreter to wait with, if any: a argument   v NAME=value
#   out:  R there is nothing left to do ahead: 1, or 0 where the interpreter is gone   S started
#         E exit code, signal, CPU ms, bits of attendant.pl   F size, path   D bytes   T number of files left out (the end)
#
# What follows the program's start is beside this file: attendant.pl waits for its end, collector.pl hands its files out.
# Before it, waiting.pl has an interpreter wait for the job. For one with a network, forwarder.pl is its way out. All run on
# perl-base alone and load no module but strict, the last one Socket too (and no %!, which loads one): POSIX takes 10 ms to
# load.
use strict;

my ($machine, $result_fd, $out_fd, $err_fd);
our ($work, $tmp);
($machine, $result_fd, $out_fd, $err_fd, $work, $tmp) = @ARGV;

# From asm/unistd_64.h, asm-generic/unistd.h (aarch64) and asm/fcntl.h; O_NOFOLLOW is the one flag that differs.
my %numbers_of = (
    x64 => { clock_gettime => 228, prctl => 157, rt_sigprocmask => 14, signalfd4 => 289, prlimit64 => 302, setsid => 112, getrusage => 98,
             statfs => 137, O_NOFOLLOW => 0x20000 },
    arm64 => { clock_gettime => 113, prctl => 167, rt_sigprocmask => 135, signalfd4 => 74, prlimit64 => 261, setsid => 157, getrusage => 165,
               statfs => 43, O_NOFOLLOW => 0x8000 },
);
our $nr = $numbers_of{$machine} or give_up("There is no system call table for $machine");

sub PR_SET_DUMPABLE () { 4 } sub PR_SET_CHILD_SUBREAPER () { 36 } sub SIG_BLOCK () { 0 } sub SIG_SETMASK () { 2 }
sub SIGCHLD_BIT () { 1 << 16 } sub SIGSET_BYTES () { 8 }
sub SFD_CLOEXEC_NONBLOCK () { 02004000 } sub F_SETFD () { 2 } sub FD_CLOEXEC () { 1 }
sub O_WRONLY_CREAT_EXCL () { 0301 } sub O_RDWR_CREAT_EXCL () { 0302 }
sub O_RDONLY_NONBLOCK () { 04000 } sub MAX_RECORD_BYTES () { 1 << 20 } sub READ_BYTES () { 1 << 17 }
sub NOFILE_SOFT () { 1024 } sub NOFILE_HARD () { 4096 }
# So much of the job's files is kept in mind, to tell at the end which of them were not touched.
sub MAX_KEPT_BYTES () { 1 << 18 }
# The rlimits' numbers are generic on both machines (asm-generic/resource.h).
my %rlimit = (cpu => 0, fsize => 1, data => 2, core => 4, nproc => 6, nofile => 7, as => 9);

# A job has our uid: only a non-dumpable process keeps it out of /proc/1/{mem,fd,environ}.
syscall($nr->{prctl}, PR_SET_DUMPABLE, 0, 0, 0, 0);
# Without a PID namespace (SANDBOX=none) orphans must come to us too.
syscall($nr->{prctl}, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) unless $$ == 1;
$SIG{PIPE} = 'IGNORE';
umask 022;

# SIGCHLD is blocked and read from a descriptor, so that one select() waits for children and the control pipe alike:
# no handler, no race between a check and a sleep, no polling.
my $chld = pack('Q', SIGCHLD_BIT);
syscall($nr->{rt_sigprocmask}, SIG_BLOCK, $chld, 0, SIGSET_BYTES);
our $signal_fd = syscall($nr->{signalfd4}, -1, $chld, SIGSET_BYTES, SFD_CLOEXEC_NONBLOCK);
$signal_fd >= 0 or give_up("signalfd failed: $!");
open(our $signals, '<&=', $signal_fd) or give_up("signalfd cannot be opened: $!");
my ($result, $out, $err) = map { inherited($_) } ($result_fd, $out_fd, $err_fd);
my $stdin = create_stdin();

our (@argv, @env, %option);
# The folder whose files are handed out, with a slash at its end; empty for the working directory.
our $collected = '';
# A folder whose files are not; undefined for none.
our $uncollected;
# Of the job's files, by path: bytes of small ones, what a stat of the others gave.
our (%kept, %input_mark);
my $kept_bytes = 0;
# Directories for them, each of which is looked for once.
my %is_there;
my ($received, $held) = ('', '');
our ($waiting, $program, $cpu_ms_before);
my $go = receive_job();
start_forwarder() if $option{proxy};
my $started_sec = time;
start_program() if !($go eq 'H' && hand_over());
close $_ for $out, $err;
send_record('S', '');
load_what_follows();
tell_end(wait_for_program());
hand_out_files($option{output}, $started_sec);
wait_for_dismissal() if $collected eq '';
exit 0;

sub give_up { print STDERR "$_[0]\n"; exit 126 }

sub keep_open { fcntl($_[0], F_SETFD, 0) }

sub inherited {
    open(my $handle, '+<&=', $_[0]) or give_up("Descriptor $_[0] was not passed: $!");
    fcntl($handle, F_SETFD, FD_CLOEXEC);
    return $handle;
}

# Perl compiles 200 lines in a millisecond: what is not needed at once is read while nobody waits for it.
sub load { require $0 =~ s{[^/]*\z}{$_[0]}r }
sub load_what_follows { load($_) for 'attendant.pl', 'collector.pl' }

# --- the job comes in

sub take {
    my ($count) = @_;
    while (length $received < $count) {
        my $got = sysread(STDIN, $received, READ_BYTES, length $received);
        exit 125 if !$got;
    }
    return substr($received, 0, $count, '');
}

# Returns how it is to go.
sub receive_job {
    my ($file, $path, %interpreter);
    for (;;) {
        my ($type, $length) = unpack('aN', take(5));
        $length <= MAX_RECORD_BYTES or give_up('A record of the job is too long');
        my $payload = take($length);
        if ($type eq 'D') {
            write_all($file, $payload) or give_up("The job's files do not fit: $!");
            keep($path, $payload) if defined $path;
            next;
        }
        if (defined $path) { close_input($file, $path); undef $path }
        if    ($type eq 'F') { $file = create_input($path = $payload, 0644); $kept{$path} = '' }
        elsif ($type eq 'X') { $file = create_input($path = $payload, 0755); $kept{$path} = '' }
        elsif ($type eq 'C') { make_directories(split_path($payload)); $collected = "$payload/" }
        elsif ($type eq 'K') { $uncollected = $payload }
        elsif ($type eq 'I') { $file = $stdin }
        elsif ($type eq 'A') { push @argv, $payload }
        elsif ($type eq 'V') { push @env, [split /=/, $payload, 2] }
        elsif ($type eq 'O' && $payload =~ /\A(\w+)=(\d+)\z/) { $option{$1} = $2 }
        elsif ($type eq 'W') { load_what_follows(); load('waiting.pl'); wait_for_job(%interpreter) }
        elsif ($type =~ /\A[av]\z/) { push @{$interpreter{$type}}, $payload }
        elsif ($type =~ /\A[GH]\z/) { sysseek($stdin, 0, 0); return $type }
        else                 { give_up('A record of the job is unknown') }
    }
}

sub create_input {
    my ($path, $mode) = @_;
    my @parts = split_path($path);
    make_directories(@parts[0 .. $#parts - 1]);
    sysopen(my $file, "$work/$path", O_WRONLY_CREAT_EXCL | $nr->{O_NOFOLLOW}, $mode)
        or give_up("An input file cannot be made: $!");
    return $file;
}

sub split_path {
    my @parts = split m{/}, $_[0], -1;
    give_up('An input path leaves the working directory') if grep { $_ eq '' || $_ eq '.' || $_ eq '..' } @parts;
    return @parts;
}

sub make_directories {
    my $directory = $work;
    for my $part (@_) {
        $directory .= "/$part";
        $is_there{$directory} ||= -d $directory || mkdir($directory, 0755) or give_up("The job's directory cannot be made: $!");
    }
}

sub keep {
    my ($path, undef) = @_;
    return if !defined $kept{$path};
    $kept_bytes += length $_[1];
    if ($kept_bytes <= MAX_KEPT_BYTES) { $kept{$path} .= $_[1]; return }
    # A big file takes no room from the small ones after it.
    $kept_bytes -= length($_[1]) + length delete $kept{$path};
}

# What an untouched input still looks like at the end; its change time is compared on top of that.
sub input_mark { my @stat = @_; return join ' ', @stat[1, 7, 9] }

sub close_input {
    my ($file, $path) = @_;
    my @stat = stat $file;
    close $file or give_up("The job's files do not fit: $!");
    $input_mark{$path} = input_mark(@stat);
}

# A file rather than a pipe: the program may reopen /dev/stdin, and nothing has to feed it. There is one also where it stays
# empty: a program that was started before its job is known must find the same as any other.
sub create_stdin {
    my $path = "$tmp/.stdin-$$";
    sysopen(my $file, $path, O_RDWR_CREAT_EXCL | $nr->{O_NOFOLLOW}, 0600) or give_up("stdin cannot be stored: $!");
    unlink $path;
    fcntl($file, F_SETFD, FD_CLOEXEC);
    return $file;
}

# --- the program's way out

sub PROXY_SOCKET () { '/run/proxy.sock' }

sub start_forwarder {
    load('forwarder.pl');
    my $listener = listen_for_program();
    my $forwarder = fork;
    defined $forwarder or give_up("The forwarder's process cannot be made: $!");
    return if $forwarder;
    # It must not hold the program's output, or the service's pipes, open.
    close $_ for $result, $out, $err, *STDIN;
    forward_connections($listener, PROXY_SOCKET);
}

# --- the program runs

sub start_program {
    $cpu_ms_before = $waiting ? end_interpreter() : 0;
    # Closed by a successful exec; otherwise it says what went wrong, which is our failure and not the program's.
    pipe(my $trouble, my $trouble_end) or give_up("No pipe can be made: $!");
    $program = fork_program($trouble_end, sub { limit_to_job(0); exec_program(\@argv, \@env) });
    close $trouble_end;
    give_up($_) for <$trouble>;
}

# The child gets what holds for every program, then does the rest, whose error goes to $trouble_end.
sub fork_program {
    my ($trouble_end, $rest) = @_;
    my $pid = fork;
    defined $pid or give_up("The program's process cannot be made: $!");
    return $pid if $pid;
    open(STDERR, '>&', $err) or exit 126;
    eval { become_program(); $rest->() };
    syswrite $trouble_end, $@;
    exit 126;
}

# Before any code or environment of a job is near.
sub become_program {
    syscall($nr->{setsid});
    # /proc/self belongs to root while non-dumpable, and then oom_score_adj cannot be written.
    syscall($nr->{prctl}, PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (open my $score, '>', '/proc/self/oom_score_adj') { syswrite $score, '1000' }
    open(STDIN, '<&', $stdin) or die("stdin: $!\n");
    open(STDOUT, '>&', $out) or die("stdout: $!\n");
    chdir $work or die("The working directory cannot be entered: $!\n");
    $SIG{$_} = 'DEFAULT' for grep { !/^(?:KILL|STOP|NUM\d+|__.*)$/ } keys %SIG;
    my $none = pack('Q', 0);
    syscall($nr->{rt_sigprocmask}, SIG_SETMASK, $none, 0, SIGSET_BYTES);
    # What is the same for every job is there from the start: node raises its soft limit of files when it starts.
    set_limit(0, 'nofile', NOFILE_SOFT, NOFILE_HARD);
    # 1, not 0: with 0 a core_pattern that is a pipe still runs its handler on the host.
    set_limit(0, 'core', 1, 1);
}

sub limit_to_job {
    my ($pid) = @_;
    for my $name (grep { $option{$_} } qw(as data fsize nproc)) { set_limit($pid, $name, $option{$name}, $option{$name}) }
    # SIGXCPU at the soft limit; SIGKILL a second later for whoever ignores it.
    set_limit($pid, 'cpu', $option{cpu}, $option{cpu} + 1);
}

# 0 is the calling process.
sub set_limit {
    my ($pid, $name, $soft, $hard) = @_;
    my $limit = pack('QQ', $soft, $hard);
    syscall($nr->{prlimit64}, $pid, $rlimit{$name}, $limit, 0) == 0 or die("The limit $name cannot be set: $!\n");
}

sub exec_program {
    my ($argv, $env) = @_;
    %ENV = map { @$_ } @$env;
    exec { $argv->[0] } @$argv or die("$argv->[0] cannot be run: $!\n");
}

# --- records go out

sub write_all {
    my ($handle, undef) = @_;
    my $at = 0;
    while ($at < length $_[1]) {
        my $count = syswrite($handle, $_[1], length($_[1]) - $at, $at);
        return 0 if !defined $count;
        $at += $count;
    }
    return 1;
}

# Goes out with the next one that is sent.
sub hold_record { $held .= pack('aN', $_[0], length $_[1]) . $_[1] }

# The service closes its end when it wants no more; there is nobody left to tell.
sub send_record {
    hold_record(@_);
    write_all($result, $held) or exit 0;
    $held = '';
}
