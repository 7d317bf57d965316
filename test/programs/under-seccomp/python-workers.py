import multiprocessing
import subprocess
import threading
from multiprocessing import shared_memory


def square(number):
    return number * number


def put_five(queue):
    queue.put(5)


def write_hello(name):
    block = shared_memory.SharedMemory(name=name)
    block.buf[:5] = b"hello"
    block.close()


def main():
    with multiprocessing.Pool(3) as pool:
        print("pool", sum(pool.map(square, range(8))))

    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=put_five, args=(queue,))
    process.start()
    print("queue", queue.get())
    process.join()

    block = shared_memory.SharedMemory(create=True, size=16)
    process = multiprocessing.Process(target=write_hello, args=(block.name,))
    process.start()
    process.join()
    print("shared", bytes(block.buf[:5]).decode())
    block.close()
    block.unlink()

    results = []
    threads = [threading.Thread(target=results.append, args=(1,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", sum(results))

    print("subprocess", subprocess.run(["echo", "out"], capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
