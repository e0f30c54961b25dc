/*
 * Preloaded into Levee: its crypto device goes wrong as the page in the file $FAULTY_DEVICE says. Levee, DPDK and the
 * driver are what is shipped; what the driver gives back is changed on its way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_cryptodev.h>

struct page {
	uint64_t fault;
	/* Operations that were given back. */
	uint64_t given;
};

enum fault { NONE, FAILS, HANGS, LIES };

static struct page *page;
static dequeue_pkt_burst_t driver;

static uint16_t dequeue(void *queue_pair, struct rte_crypto_op **ops, uint16_t room)
{
	uint64_t fault = __atomic_load_n(&page->fault, __ATOMIC_RELAXED);

	if (fault == HANGS)
		return 0;
	uint16_t count = driver(queue_pair, ops, room);
	for (uint16_t i = 0; i < count; i++) {
		if (fault == FAILS)
			ops[i]->status = RTE_CRYPTO_OP_STATUS_ERROR;
		else if (fault == LIES && ops[i]->type == RTE_CRYPTO_OP_TYPE_ASYMMETRIC)
			ops[i]->asym->rsa.sign.data[0] ^= 1;
	}
	__atomic_fetch_add(&page->given, count, __ATOMIC_RELAXED);
	return count;
}

int rte_cryptodev_start(uint8_t device)
{
	int (*start)(uint8_t) = (int (*)(uint8_t))dlsym(RTLD_NEXT, "rte_cryptodev_start");
	struct rte_crypto_fp_ops *operations = dlsym(RTLD_DEFAULT, "rte_crypto_fp_ops");
	int error = start(device);

	if (error)
		return error;
	if (!page)
		page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED,
			    open(getenv("FAULTY_DEVICE"), O_RDWR), 0);
	if (page == MAP_FAILED)
		abort();
	driver = operations[device].dequeue_burst;
	operations[device].dequeue_burst = dequeue;
	return 0;
}
