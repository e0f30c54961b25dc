#define _GNU_SOURCE
#include "shim.h"

#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_log.h>

#define SCRATCH_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))
#define NONCE_LENGTH 12
#define TAG_LENGTH 16

int levee_errno(void)
{
	return rte_errno;
}

static ssize_t write_line(void *cookie, const char *text, size_t length)
{
	((levee_log_line)cookie)((uint32_t)rte_log_cur_msg_loglevel(), text, length);
	return (ssize_t)length;
}

int levee_log_to(levee_log_line line)
{
	FILE *stream = fopencookie((void *)line, "w", (cookie_io_functions_t){ .write = write_line });

	return stream == NULL ? -1 : rte_openlog_stream(stream);
}

struct levee_scratch *levee_op_scratch(struct rte_crypto_op *op)
{
	return (struct levee_scratch *)((char *)op + SCRATCH_OFFSET);
}

void levee_op_fill(struct rte_crypto_op *op, void *session, struct rte_mbuf *source,
		   struct rte_mbuf *destination, uint32_t offset, uint32_t length, int hardware)
{
	struct levee_scratch *scratch = levee_op_scratch(op);
	rte_iova_t address = hardware ? op->phys_addr : (rte_iova_t)(uintptr_t)op;

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	rte_crypto_op_attach_sym_session(op, session);
	op->sym->m_src = source;
	op->sym->m_dst = destination;
	op->sym->aead.data.offset = offset;
	op->sym->aead.data.length = length;
	op->sym->aead.digest.data = scratch->tag;
	op->sym->aead.digest.phys_addr =
		address + SCRATCH_OFFSET + offsetof(struct levee_scratch, tag);
	op->sym->aead.aad.data = scratch->aad;
	op->sym->aead.aad.phys_addr =
		address + SCRATCH_OFFSET + offsetof(struct levee_scratch, aad);
}

int levee_op_succeeded(const struct rte_crypto_op *op)
{
	return op->status == RTE_CRYPTO_OP_STATUS_SUCCESS;
}

int levee_op_forged(const struct rte_crypto_op *op)
{
	return op->status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED;
}

int levee_op_refused(const struct rte_crypto_op *op)
{
	return op->status != RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
}

int levee_aead_offered(uint8_t device, int algorithm, uint16_t key_length, uint16_t aad_length)
{
	struct rte_cryptodev_sym_capability_idx index = { .type = RTE_CRYPTO_SYM_XFORM_AEAD };
	const struct rte_cryptodev_symmetric_capability *capability;

	index.algo.aead = (enum rte_crypto_aead_algorithm)algorithm;
	capability = rte_cryptodev_sym_capability_get(device, &index);
	return capability != NULL &&
	       rte_cryptodev_sym_capability_check_aead(capability, key_length, TAG_LENGTH, aad_length,
						       NONCE_LENGTH) == 0;
}

void levee_aead_transform(struct rte_crypto_sym_xform *xform, int algorithm, int seal, const uint8_t *key,
			  uint16_t key_length, uint16_t aad_length)
{
	memset(xform, 0, sizeof(*xform));
	xform->type = RTE_CRYPTO_SYM_XFORM_AEAD;
	xform->aead.op = seal ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
	xform->aead.algo = (enum rte_crypto_aead_algorithm)algorithm;
	xform->aead.key.data = key;
	xform->aead.key.length = key_length;
	xform->aead.iv.offset = SCRATCH_OFFSET + offsetof(struct levee_scratch, nonce);
	xform->aead.iv.length = NONCE_LENGTH;
	xform->aead.digest_length = TAG_LENGTH;
	xform->aead.aad_length = aad_length;
}

/* As rte_crypto_mbuf_to_vec(), which wants the first byte in the first segment. Returns -1 if too long. */
static int pieces_of(struct rte_mbuf *mbuf, uint32_t offset, uint32_t length, struct rte_crypto_vec *pieces)
{
	uint32_t used = 0;

	for (; mbuf != NULL && offset >= mbuf->data_len; mbuf = mbuf->next)
		offset -= mbuf->data_len;
	for (; mbuf != NULL && length > 0; mbuf = mbuf->next) {
		uint32_t here = RTE_MIN(length, mbuf->data_len - offset);

		if (used == LEVEE_NOW_SEGMENTS)
			return -1;
		pieces[used++] = (struct rte_crypto_vec){
			.base = rte_pktmbuf_mtod_offset(mbuf, void *, offset),
			.iova = rte_pktmbuf_iova_offset(mbuf, offset),
			.len = here,
			.tot_len = here,
		};
		length -= here;
		offset = 0;
	}
	return length == 0 ? (int)used : -1;
}

int levee_aead_now(uint8_t device, void *session, struct rte_mbuf *source, struct rte_mbuf *destination,
		   uint32_t offset, uint32_t length, uint8_t *nonce, uint8_t *aad, uint8_t *tag)
{
	struct rte_crypto_vec pieces[LEVEE_NOW_SEGMENTS];
	struct rte_crypto_vec whole = { 0 };
	struct rte_crypto_sgl from = { .vec = pieces };
	struct rte_crypto_sgl into = { .vec = &whole, .num = 1 };
	struct rte_crypto_va_iova_ptr nonce_at = { .va = nonce }, aad_at = { .va = aad }, tag_at = { .va = tag };
	union rte_crypto_sym_ofs none = { .raw = 0 };
	int32_t status = -1;
	struct rte_crypto_sym_vec vector = {
		.num = 1,
		.src_sgl = &from,
		.iv = &nonce_at,
		.digest = &tag_at,
		.aad = &aad_at,
		.status = &status,
	};
	int pieces_used = pieces_of(source, offset, length, pieces);

	if (pieces_used < 0)
		return -1;
	from.num = (uint32_t)pieces_used;
	if (destination != NULL) {
		whole.base = rte_pktmbuf_mtod(destination, void *);
		whole.iova = rte_pktmbuf_iova(destination);
		whole.len = length;
		whole.tot_len = length;
		vector.dest_sgl = &into;
	}
	/* What has a wrong tag is not among those that it says it processed. */
	if (rte_cryptodev_sym_cpu_crypto_process(device, session, none, &vector) != 1 && status == 0)
		return -1;
	return status;
}
