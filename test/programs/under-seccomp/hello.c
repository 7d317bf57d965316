#include <pthread.h>
#include <stdio.h>

#define THREADS 4

static void *one(void *unused) {
    (void)unused;
    return (void *)1;
}

int main(void) {
    pthread_t threads[THREADS];
    long sum = 0;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, one, NULL) != 0) return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("hello from %ld threads\n", sum);
    return 0;
}
