# Has an interpreter wait for its job, for supervisor.pl, which loads this where there is no job yet and whose subs and
# variables it uses, as it does cpu_ms of attendant.pl, which is loaded by then. The interpreter runs code of its runtime (src/runtimes/builtin) that says one letter on a socket, whose
# number is in JOB_RUNNER_WAIT, once it has nothing left to do ahead and no variable left in its environment. It then reads up
# to the end, separated by NUL: the number of arguments, these, and NAME=value for each variable.
# Nothing of a job has been near it by then, so that what it says can be believed.
use strict;
our ($waiting, $program, $cpu_ms_before, $nr, @argv, @env);

sub AF_UNIX () { 1 } sub SOCK_STREAM () { 1 } sub CPUCLOCK_SCHED () { 2 } sub O_RDWR () { 2 }
# The program's variables take the place of these in its memory.
sub ROOM_BYTES () { 4096 }
# The socket's number: so high that what the interpreter opens has the numbers that it has in any other.
sub F_DUPFD () { 0 } sub CHANNEL_FD () { 200 }
# Fields of /proc/PID/stat (proc(5)) from the third on, which follows the name in parentheses.
sub ENV_START () { 47 } sub ENV_END () { 48 }

my ($channel, $word);

# Returns when the service has something to say, which may be before the interpreter waits.
sub wait_for_job {
    my (%interpreter) = @_;
    return send_record('R', "\1") if !$interpreter{a};
    start_interpreter($interpreter{a}, $interpreter{v});
    until (defined $word) {
        my $ready = '';
        vec($ready, $_, 1) = 1 for 0, fileno $channel;
        select($ready, undef, undef, undef);
        hear_interpreter() if vec($ready, fileno $channel, 1);
        last if vec($ready, 0, 1);
    }
    return;
}

sub start_interpreter {
    my ($argv, $env) = @_;
    socketpair($channel, my $its_end, AF_UNIX, SOCK_STREAM, 0) or give_up("No socket can be made: $!");
    my @env = map { [split /=/, $_, 2] } @$env, 'JOB_RUNNER_WAIT=' . CHANNEL_FD, 'JOB_RUNNER_ROOM=' . ' ' x ROOM_BYTES;
    # On failure its end closes: it is gone, and a job that is there by now starts another one. What is wrong we have said then.
    open(my $last_words, '>&', \*STDERR) or give_up("stderr cannot be passed on: $!");
    $waiting = fork_program($last_words, sub { fcntl($its_end, F_DUPFD, CHANNEL_FD); exec_program($argv, \@env) });
    close $_ for $its_end, $last_words;
}

sub hear_interpreter {
    sysread($channel, $word, 1) or $word = '';
    send_record('R', $word eq '' ? "\0" : "\1");
}

# Gives the job to the interpreter. False where it is gone, or has too little room.
sub hand_over {
    return 0 if !$waiting;
    hear_interpreter() until defined $word;
    my $shown = join '', map { "$_->[0]=$_->[1]\0" } @env;
    return 0 if $word eq '' || length $shown > ROOM_BYTES;
    limit_to_job($waiting);
    my $spent_ms = waiting_cpu_ms();
    show_environment($shown);
    write_all($channel, join("\0", scalar @argv, @argv, map { join '=', @$_ } @env)) or return 0;
    close $channel;
    ($program, $cpu_ms_before) = ($waiting, $spent_ms);
    return 1;
}

# Returns the CPU time that has gone into it.
sub end_interpreter {
    close $channel;
    kill 'KILL', -$waiting, $waiting;
    waitpid($waiting, 0);
    return cpu_ms();
}

# The clock of a process's CPU time is ~pid << 3 | CPUCLOCK_SCHED (linux/posix-timers.h).
sub waiting_cpu_ms {
    my $time = "\0" x 16;
    syscall($nr->{clock_gettime}, (-$waiting - 1) * 8 + CPUCLOCK_SCHED, $time);
    my ($sec, $ns) = unpack('q2', $time);
    return int($sec * 1000 + $ns / 1e6);
}

# /proc/PID/environ shows the memory in which a process finds its first variables: the job's are put there, for who looks
# for a job's processes. Nothing in the process reads that any more. Where the kernel refuses, it goes on to show the old ones.
sub show_environment {
    my ($shown) = @_;
    open(my $stat, '<', "/proc/$waiting/stat") or return;
    my ($start, $end) = (split ' ', <$stat> =~ s/.*\)//sr)[ENV_START, ENV_END];
    return if !$start;
    sysopen(my $memory, "/proc/$waiting/mem", O_RDWR) or return;
    sysseek($memory, $start, 0);
    syswrite $memory, $shown . "\0" x ($end - $start - length $shown);
}

1;
