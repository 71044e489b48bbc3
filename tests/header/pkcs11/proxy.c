// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A PKCS#11 module in front of SoftHSM, for what SoftHSM never does.
 *
 * PROXY_FAULT="C_WrapKey=0x30 ..."	functions that fail, and how
 * PROXY_HANG="C_Login ..."		functions that never return
 * PROXY_DIE="C_Login ..."		functions that take the process with them
 * PROXY_FLAGS=0x40000			added to the flags of every token
 * PROXY_LOG=FILE			one line for each of these functions called
 * PROXY_OAEP=KEY.pem			OAEP with this key and any hash
 */
#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST *real, ours;
static EVP_PKEY_CTX *oaep;

static bool named(const char *variable, const char *name)
{
	const char *names = getenv(variable);

	return names && strstr(names, name);
}

/* PROXY_PIDS=FILE has the processes that did. */
static void hang(void)
{
	const char *pids = getenv("PROXY_PIDS");
	FILE *f = pids ? fopen(pids, "a") : NULL;

	if (f) {
		fprintf(f, "%d\n", getpid());
		fclose(f);
	}
	for (;;)
		pause();
}

static CK_RV fault(const char *name)
{
	const char *faults = getenv("PROXY_FAULT");
	const char *log = getenv("PROXY_LOG");
	const char *at = faults ? strstr(faults, name) : NULL;
	FILE *f = log ? fopen(log, "a") : NULL;

	if (f) {
		fprintf(f, "%s\n", name);
		fclose(f);
	}
	if (named("PROXY_HANG", name))
		hang();
	if (named("PROXY_DIE", name))
		raise(SIGKILL);
	return at ? strtoul(at + strlen(name) + 1, NULL, 0) : CKR_OK;
}

/* A function that fails if told so, and else is SoftHSM's. */
#define FORWARD(name, parameters, arguments)		\
	static CK_RV my_##name parameters		\
	{						\
		CK_RV rv = fault(#name);		\
							\
		return rv ? rv : real->name arguments;	\
	}

FORWARD(C_Initialize, (void *args), (args))
FORWARD(C_Finalize, (void *args), (args))
FORWARD(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n),
	(present, list, n))
FORWARD(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, void *application,
			CK_NOTIFY notify, CK_SESSION_HANDLE *session),
	(slot, flags, application, notify, session))
FORWARD(C_Login, (CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR *pin,
		  CK_ULONG bytes), (s, user, pin, bytes))
FORWARD(C_FindObjectsInit, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *like,
			    CK_ULONG n), (s, like, n))
FORWARD(C_FindObjects, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *found,
			CK_ULONG room, CK_ULONG *n), (s, found, room, n))
FORWARD(C_CreateObject, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *what, CK_ULONG n,
			 CK_OBJECT_HANDLE *object), (s, what, n, object))
FORWARD(C_GetAttributeValue, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE object,
			      CK_ATTRIBUTE *what, CK_ULONG n),
	(s, object, what, n))
FORWARD(C_DestroyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE object),
	(s, object))
FORWARD(C_WrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM *how,
		    CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE what,
		    CK_BYTE *out, CK_ULONG *bytes),
	(s, how, key, what, out, bytes))
FORWARD(C_UnwrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM *how,
		      CK_OBJECT_HANDLE key, CK_BYTE *in, CK_ULONG in_bytes,
		      CK_ATTRIBUTE *as, CK_ULONG n, CK_OBJECT_HANDLE *object),
	(s, how, key, in, in_bytes, as, n, object))

static CK_RV my_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	const char *flags = getenv("PROXY_FLAGS");
	CK_RV rv = fault("C_GetTokenInfo");

	if (!rv)
		rv = real->C_GetTokenInfo(slot, info);
	if (!rv && flags)
		info->flags |= strtoul(flags, NULL, 0);
	return rv;
}

/* OAEP as the mechanism's parameters say it, with the key of PROXY_OAEP. */
static CK_RV start(const CK_MECHANISM *how, int (*init)(EVP_PKEY_CTX *))
{
	const CK_RSA_PKCS_OAEP_PARAMS *p = how->pParameter;
	const EVP_MD *md = p->hashAlg == CKM_SHA256 ? EVP_sha256() :
						      EVP_sha1();
	const EVP_MD *mgf = p->mgf == CKG_MGF1_SHA256 ? EVP_sha256() :
							EVP_sha1();
	FILE *f = fopen(getenv("PROXY_OAEP"), "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	oaep = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	EVP_PKEY_free(key);
	if (!oaep || init(oaep) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_padding(oaep, RSA_PKCS1_OAEP_PADDING) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(oaep, md) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(oaep, mgf) <= 0)
		return CKR_FUNCTION_FAILED;
	return CKR_OK;
}

static CK_RV my_C_EncryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *how,
			      CK_OBJECT_HANDLE key)
{
	CK_RV rv = fault("C_EncryptInit");

	if (rv)
		return rv;
	return getenv("PROXY_OAEP") ? start(how, EVP_PKEY_encrypt_init) :
				      real->C_EncryptInit(s, how, key);
}

static CK_RV my_C_DecryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *how,
			      CK_OBJECT_HANDLE key)
{
	CK_RV rv = fault("C_DecryptInit");

	if (rv)
		return rv;
	return getenv("PROXY_OAEP") ? start(how, EVP_PKEY_decrypt_init) :
				      real->C_DecryptInit(s, how, key);
}

static CK_RV my_C_Encrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_bytes,
			  CK_BYTE *out, CK_ULONG *bytes)
{
	if (!oaep)
		return real->C_Encrypt(s, in, in_bytes, out, bytes);
	return EVP_PKEY_encrypt(oaep, out, bytes, in, in_bytes) > 0 ?
	       CKR_OK : CKR_FUNCTION_FAILED;
}

static CK_RV my_C_Decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_bytes,
			  CK_BYTE *out, CK_ULONG *bytes)
{
	if (!oaep)
		return real->C_Decrypt(s, in, in_bytes, out, bytes);
	return EVP_PKEY_decrypt(oaep, out, bytes, in, in_bytes) > 0 ?
	       CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	void *module = dlopen("/usr/lib/softhsm/libsofthsm2.so",
			      RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get)(CK_FUNCTION_LIST **list);

	get = module ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(
			module, "C_GetFunctionList") : NULL;
	if (!get || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	ours = *real;
	ours.C_Initialize = my_C_Initialize;
	ours.C_Finalize = my_C_Finalize;
	ours.C_GetSlotList = my_C_GetSlotList;
	ours.C_GetTokenInfo = my_C_GetTokenInfo;
	ours.C_OpenSession = my_C_OpenSession;
	ours.C_Login = my_C_Login;
	ours.C_FindObjectsInit = my_C_FindObjectsInit;
	ours.C_FindObjects = my_C_FindObjects;
	ours.C_CreateObject = my_C_CreateObject;
	ours.C_GetAttributeValue = my_C_GetAttributeValue;
	ours.C_DestroyObject = my_C_DestroyObject;
	ours.C_WrapKey = my_C_WrapKey;
	ours.C_UnwrapKey = my_C_UnwrapKey;
	ours.C_EncryptInit = my_C_EncryptInit;
	ours.C_Encrypt = my_C_Encrypt;
	ours.C_DecryptInit = my_C_DecryptInit;
	ours.C_Decrypt = my_C_Decrypt;
	*list = &ours;
	return CKR_OK;
}
