import sys

limit = int(sys.argv[1])
primes = []
for number in range(2, limit):
    if all(number % prime for prime in primes):
        primes.append(number)
        print(f"{number} is a prime")

with open("primes.txt", "w") as file:
    print(*primes, file=file)
