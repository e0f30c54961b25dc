#include "shim.h"

#include <string.h>

#include <rte_version.h>

#define SCRATCH_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_asym_op))

/* Private keys of elliptic curves are part of the session, not of the operation. */
#define KEY_IN_SESSION (RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0))

/* RSA padding is part of the session, not of the operation, and both forms of a private key have a place. */
#define PADDING_IN_SESSION (RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0))

struct levee_asym_scratch *levee_asym_scratch(struct rte_crypto_op *op)
{
	return (struct levee_asym_scratch *)((char *)op + SCRATCH_OFFSET);
}

static enum rte_crypto_asym_xform_type type_of(int kind)
{
	switch (kind) {
	case LEVEE_ASYM_RSA:
		return RTE_CRYPTO_ASYM_XFORM_RSA;
	case LEVEE_ASYM_ECDSA_P256:
		return RTE_CRYPTO_ASYM_XFORM_ECDSA;
	default:
		return RTE_CRYPTO_ASYM_XFORM_ECPM;
	}
}

int levee_asym_offered(uint8_t device, int kind, uint16_t bytes)
{
	struct rte_cryptodev_asym_capability_idx index = { .type = type_of(kind) };
	const struct rte_cryptodev_asymmetric_xform_capability *capability =
		rte_cryptodev_asym_capability_get(device, &index);

	if (capability == NULL)
		return 0;
	switch (kind) {
	case LEVEE_ASYM_RSA:
		return rte_cryptodev_asym_xform_capability_check_optype(capability,
									RTE_CRYPTO_ASYM_OP_SIGN) &&
		       rte_cryptodev_asym_xform_capability_check_modlen(capability, bytes) == 0;
	case LEVEE_ASYM_ECDSA_P256:
		return rte_cryptodev_asym_xform_capability_check_optype(capability, RTE_CRYPTO_ASYM_OP_SIGN);
	default:
		return 1;
	}
}

/* What a driver only reads. */
static rte_crypto_param given(struct levee_number number)
{
	return (rte_crypto_param){ .data = (uint8_t *)(uintptr_t)number.data, .length = number.length };
}

void *levee_asym_session(uint8_t device, struct rte_mempool *pool, int kind, const struct levee_asym_key *key)
{
	struct rte_crypto_asym_xform xform;
	void *session = NULL;

	memset(&xform, 0, sizeof(xform));
	xform.xform_type = type_of(kind);
	switch (kind) {
	case LEVEE_ASYM_RSA:
		xform.rsa.n = given(key->n);
		xform.rsa.e = given(key->e);
		xform.rsa.key_type = RTE_RSA_KEY_TYPE_QT;
		xform.rsa.qt.p = given(key->p);
		xform.rsa.qt.q = given(key->q);
		xform.rsa.qt.dP = given(key->dp);
		xform.rsa.qt.dQ = given(key->dq);
		xform.rsa.qt.qInv = given(key->qinv);
#if PADDING_IN_SESSION
		xform.rsa.d = given(key->d);
		xform.rsa.padding.type = RTE_CRYPTO_RSA_PADDING_NONE;
#endif
		break;
	case LEVEE_ASYM_ECDSA_P256:
#if KEY_IN_SESSION
		xform.ec.pkey = given(key->d);
#endif
		/* fallthrough */
	default:
		xform.ec.curve_id = RTE_CRYPTO_EC_GROUP_SECP256R1;
		break;
	}
	if (rte_cryptodev_asym_session_create(device, &xform, pool, &session) != 0)
		return NULL;
	return session;
}

void levee_asym_fill(struct rte_crypto_op *op, void *session, int kind, size_t bytes,
		     const struct levee_asym_key *key, int hardware)
{
	struct levee_asym_scratch *scratch = levee_asym_scratch(op);
	rte_iova_t address = hardware ? op->phys_addr : (rte_iova_t)(uintptr_t)op;
	struct rte_crypto_asym_op *asym = op->asym;
	rte_crypto_param in[3], out[2];

	for (size_t i = 0; i < RTE_DIM(in); i++)
		in[i] = (rte_crypto_param){
			.data = scratch->input + i * bytes,
			.iova = address + SCRATCH_OFFSET + offsetof(struct levee_asym_scratch, input) + i * bytes,
			.length = bytes,
		};
	for (size_t i = 0; i < RTE_DIM(out); i++)
		out[i] = (rte_crypto_param){
			.data = scratch->output + i * bytes,
			.iova = address + SCRATCH_OFFSET + offsetof(struct levee_asym_scratch, output) + i * bytes,
			.length = bytes,
		};
	memset(asym, 0, sizeof(*asym));
	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	rte_crypto_op_attach_asym_session(op, session);
	switch (kind) {
	case LEVEE_ASYM_RSA:
		asym->rsa.op_type = RTE_CRYPTO_ASYM_OP_SIGN;
		asym->rsa.message = in[0];
		asym->rsa.sign = out[0];
#if !PADDING_IN_SESSION
		asym->rsa.padding.type = RTE_CRYPTO_RSA_PADDING_NONE;
#endif
		break;
	case LEVEE_ASYM_ECDSA_P256:
		asym->ecdsa.op_type = RTE_CRYPTO_ASYM_OP_SIGN;
		asym->ecdsa.message = in[0];
		asym->ecdsa.k = in[1];
		asym->ecdsa.r = out[0];
		asym->ecdsa.s = out[1];
#if KEY_IN_SESSION
		(void)key;
#else
		asym->ecdsa.pkey = given(key->d);
#endif
		break;
	default:
		asym->ecpm.scalar = in[0];
		asym->ecpm.p.x = in[1];
		asym->ecpm.p.y = in[2];
		asym->ecpm.r.x = out[0];
		asym->ecpm.r.y = out[1];
		break;
	}
}

/* Gives a number the zeros that a driver left out in front of it. */
static int widen(const rte_crypto_param *number, size_t bytes)
{
	if (number->length == 0 || number->length > bytes)
		return 0;
	memmove(number->data + bytes - number->length, number->data, number->length);
	memset(number->data, 0, bytes - number->length);
	return 1;
}

int levee_asym_take(struct rte_crypto_op *op, int kind, size_t bytes)
{
	struct rte_crypto_asym_op *asym = op->asym;

	if (op->status != RTE_CRYPTO_OP_STATUS_SUCCESS)
		return 0;
	switch (kind) {
	case LEVEE_ASYM_RSA:
		return widen(&asym->rsa.sign, bytes);
	case LEVEE_ASYM_ECDSA_P256:
		return widen(&asym->ecdsa.r, bytes) && widen(&asym->ecdsa.s, bytes);
	default:
		return widen(&asym->ecpm.r.x, bytes) && widen(&asym->ecpm.r.y, bytes);
	}
}
