/*
 * What bindgen cannot say the same way for every DPDK release, or what C does once a burst.
 *
 * Fields of rte_mbuf move in and out of anonymous unions between releases: Rust reaches them by these
 * offsets, which the compiler computes from the installed headers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rte_cryptodev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

enum {
	LEVEE_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	LEVEE_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	LEVEE_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	LEVEE_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	LEVEE_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	LEVEE_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	LEVEE_MBUF_HASH_RSS = offsetof(struct rte_mbuf, hash.rss),
	LEVEE_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	LEVEE_MBUF_NEXT = offsetof(struct rte_mbuf, next),
	LEVEE_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
};

/* Widths are part of rte_mbuf's contract with Rust: a release that changes one must not compile. */
#define LEVEE_WIDTH(field, bytes) _Static_assert(sizeof(((struct rte_mbuf *)0)->field) == (bytes), #field)
LEVEE_WIDTH(buf_addr, 8);
LEVEE_WIDTH(data_off, 2);
LEVEE_WIDTH(nb_segs, 2);
LEVEE_WIDTH(ol_flags, 8);
LEVEE_WIDTH(pkt_len, 4);
LEVEE_WIDTH(data_len, 2);
LEVEE_WIDTH(hash.rss, 4);
LEVEE_WIDTH(buf_len, 2);
LEVEE_WIDTH(next, 8);
LEVEE_WIDTH(tx_offload, 8);

/* Macros that bindgen does not evaluate, or whose type it would guess. */
static const int32_t LEVEE_SOCKET_ID_ANY = SOCKET_ID_ANY;

static const uint64_t LEVEE_RX_RSS_HASH = RTE_MBUF_F_RX_RSS_HASH;
static const uint64_t LEVEE_RX_IP_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t LEVEE_RX_IP_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t LEVEE_RX_IP_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t LEVEE_RX_L4_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t LEVEE_RX_L4_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t LEVEE_RX_L4_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t LEVEE_TX_IPV4 = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t LEVEE_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t LEVEE_TX_TCP_CHECKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t LEVEE_TX_TCP_SEGMENTATION = RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t LEVEE_INDIRECT = RTE_MBUF_F_INDIRECT;
static const uint64_t LEVEE_EXTERNAL = RTE_MBUF_F_EXTERNAL;
static const uint64_t LEVEE_LAST_FREE = RTE_MBUF_F_LAST_FREE;

static const uint64_t LEVEE_OFFLOAD_RX_CHECKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t LEVEE_OFFLOAD_RX_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t LEVEE_OFFLOAD_RX_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t LEVEE_OFFLOAD_TX_CHECKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t LEVEE_OFFLOAD_TX_SEGMENTS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t LEVEE_OFFLOAD_TX_TSO = RTE_ETH_TX_OFFLOAD_TCP_TSO;
static const uint64_t LEVEE_RSS_TCP = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
static const uint64_t LEVEE_RSS_IP = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;

static const uint32_t LEVEE_RING_SINGLE = RING_F_SP_ENQ | RING_F_SC_DEQ;

static const uint64_t LEVEE_CRYPTO_NOW = RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO;
static const uint64_t LEVEE_CRYPTO_HARDWARE = RTE_CRYPTODEV_FF_HW_ACCELERATED;
static const uint64_t LEVEE_CRYPTO_SYMMETRIC = RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO;
static const uint64_t LEVEE_CRYPTO_ASYMMETRIC = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO;

/* rte_errno is thread-local storage, which bindgen does not bind. */
int levee_errno(void);

typedef void (*levee_log_line)(uint32_t level, const char *text, size_t length);

/* Sends every DPDK log message to `line`, from whichever thread wrote it. Returns 0, or -1. */
int levee_log_to(levee_log_line line);

/* A link's fields lie inside a union in later releases. */
static inline uint32_t levee_link_speed(const struct rte_eth_link *link)
{
	return link->link_speed;
}

static inline int levee_link_is_up(const struct rte_eth_link *link)
{
	return link->link_status == RTE_ETH_LINK_UP;
}

/* How many segments lie over the buffer of `mbuf`: a count of 16 bits, which nobody checks. */
static inline uint16_t levee_mbuf_owners(const struct rte_mbuf *mbuf)
{
	if (RTE_MBUF_HAS_EXTBUF(mbuf))
		return rte_mbuf_ext_refcnt_read(mbuf->shinfo);
	if (RTE_MBUF_CLONED(mbuf))
		return rte_mbuf_refcnt_read(rte_mbuf_from_indirect((struct rte_mbuf *)(uintptr_t)mbuf));
	return rte_mbuf_refcnt_read(mbuf);
}

/* What lies behind a crypto operation in its mempool object. */
struct levee_scratch {
	uint8_t nonce[16];
	uint8_t aad[16];
	uint8_t tag[16];
	uint64_t slot;
};

/* The private area of operations of a pool made with LEVEE_OP_PRIVATE bytes of it. */
enum { LEVEE_OP_PRIVATE = sizeof(struct levee_scratch) };
struct levee_scratch *levee_op_scratch(struct rte_crypto_op *op);

/*
 * Fills `op`, whose scratch holds nonce, additional data and, to open, the tag. Software devices get
 * virtual addresses for physical ones: aesni_mb 22.11 takes the tag of a GCM operation over segments from
 * auth.digest.data, which is aead.digest.phys_addr by another name.
 */
void levee_op_fill(struct rte_crypto_op *op, void *session, struct rte_mbuf *source,
		   struct rte_mbuf *destination, uint32_t offset, uint32_t length, int hardware);

int levee_op_succeeded(const struct rte_crypto_op *op);

/* Whether a device has done `op` and found another tag than was given. */
int levee_op_forged(const struct rte_crypto_op *op);

/* Whether a device has given up on `op` without taking it into its queue. */
int levee_op_refused(const struct rte_crypto_op *op);

/* Whether `device` says that it does `algorithm` with such a key and so much additional data. */
int levee_aead_offered(uint8_t device, int algorithm, uint16_t key_length, uint16_t aad_length);

/* An AEAD transform with its nonce where levee_op_fill() expects it. */
void levee_aead_transform(struct rte_crypto_sym_xform *xform, int algorithm, int seal, const uint8_t *key,
			  uint16_t key_length, uint16_t aad_length);

/* The most segments that levee_aead_now() takes. */
enum { LEVEE_NOW_SEGMENTS = 64 };

/*
 * One synchronous operation on `length` bytes from `offset` of `source`, in place, or into `destination`
 * (one segment) from its first byte when that is not NULL. Returns 0 on success.
 */
int levee_aead_now(uint8_t device, void *session, struct rte_mbuf *source, struct rte_mbuf *destination,
		   uint32_t offset, uint32_t length, uint8_t *nonce, uint8_t *aad, uint8_t *tag);

/* Public-key work. Releases moved padding and private keys between operation and session. */
enum { LEVEE_ASYM_RSA, LEVEE_ASYM_ECDSA_P256, LEVEE_ASYM_MULTIPLY_P256 };

/* The longest number: a modulus of RSA-4096. */
enum { LEVEE_ASYM_MAX = 512 };

/* A number, big-endian. */
struct levee_number {
	const uint8_t *data;
	size_t length;
};

/* A private key: the numbers of RFC 8017 section 3.2's second representation, or an ECDSA scalar in `d`. */
struct levee_asym_key {
	struct levee_number n, e, d, p, q, dp, dq, qinv;
};

/*
 * What lies behind a public-key operation in its mempool object. Input: the message of an RSA signature;
 * digest and nonce of ECDSA; scalar and both coordinates of a multiplication. Output: the signature; r and
 * s; both coordinates.
 */
struct levee_asym_scratch {
	uint8_t input[LEVEE_ASYM_MAX];
	uint8_t output[LEVEE_ASYM_MAX];
	uint64_t slot;
};

enum { LEVEE_ASYM_PRIVATE = sizeof(struct levee_asym_scratch) };
struct levee_asym_scratch *levee_asym_scratch(struct rte_crypto_op *op);

/* Whether `device` says that it does `kind`, with an RSA modulus of `bytes`. */
int levee_asym_offered(uint8_t device, int kind, uint16_t bytes);

/* A session of `kind`; `key`, which a multiplication has not, is copied. NULL when the device refuses. */
void *levee_asym_session(uint8_t device, struct rte_mempool *pool, int kind, const struct levee_asym_key *key);

/*
 * Fills `op`, whose scratch holds the input, `bytes` for each number. `key` is that of the session, and
 * must live until the operation is back.
 */
void levee_asym_fill(struct rte_crypto_op *op, void *session, int kind, size_t bytes,
		     const struct levee_asym_key *key, int hardware);

/* Whether `op` succeeded; its output then has `bytes` for each number. */
int levee_asym_take(struct rte_crypto_op *op, int kind, size_t bytes);
