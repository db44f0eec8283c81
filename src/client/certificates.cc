#include "client/certificates.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <memory>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::client {
namespace {

constexpr int kAuthorityDays = 3650;
constexpr size_t kMaxPem = 1 << 20;

struct Free {
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
  void operator()(BIO* bio) const { ::BIO_free_all(bio); }
  void operator()(X509_EXTENSION* extension) const { ::X509_EXTENSION_free(extension); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Bio = std::unique_ptr<BIO, Free>;

Error openssl_failed(const char* what) {
  const unsigned long code = ::ERR_get_error();
  const char* reason = ::ERR_reason_error_string(code);
  return internal_error(std::string("making certificates: ") + what + ": " +
                        (reason != nullptr ? reason : "unknown error"));
}

struct Pair {
  Key key;
  Certificate certificate;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<> write_pair(const Pair& pair, const std::filesystem::path& certificate, const std::filesystem::path& key) {
  const Bio certificate_text(::BIO_new(::BIO_s_mem()));
  const Bio key_text(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_X509(certificate_text.get(), pair.certificate.get()) != 1 ||
      ::PEM_write_bio_PKCS8PrivateKey(key_text.get(), pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("write");
  }
  TRY(replace_file(key, text_of(key_text.get()), 0600, true));
  return replace_file(certificate, text_of(certificate_text.get()), 0644, true);
}

Result<Pair> read_pair(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  const std::string certificate_text = TRY(read_file(certificate, kMaxPem));
  const std::string key_text = TRY(read_file(key, kMaxPem));
  const Bio certificate_bio(::BIO_new_mem_buf(certificate_text.data(), static_cast<int>(certificate_text.size())));
  const Bio key_bio(::BIO_new_mem_buf(key_text.data(), static_cast<int>(key_text.size())));
  Pair pair{.key = Key(::PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr)),
            .certificate = Certificate(::PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr))};
  if (!pair.key) return invalid(key.string() + " is no key in PEM form");
  if (!pair.certificate) return invalid(certificate.string() + " is no certificate in PEM form");
  return pair;
}

Result<> add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(::X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (!extension || ::X509_add_ext(certificate, extension.get(), -1) != 1) return openssl_failed(value.c_str());
  return {};
}

using Extensions = std::vector<std::pair<int, std::string>>;

// Signed by `issuer`; without one by itself.
Result<Pair> make_pair(const std::string& name, int days, const Extensions& extensions, const Pair* issuer) {
  Pair pair{.key = Key(::EVP_EC_gen("P-256")), .certificate = Certificate(::X509_new())};
  if (!pair.key || !pair.certificate) return openssl_failed("key");
  X509* certificate = pair.certificate.get();
  ::X509_set_version(certificate, X509_VERSION_3);
  uint64_t serial = 0;
  if (::RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1)
    return openssl_failed("random numbers");
  ::ASN1_INTEGER_set_uint64(::X509_get_serialNumber(certificate), serial >> 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);  // clocks differ
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), static_cast<long>(days) * 24 * 3600);
  ::X509_set_pubkey(certificate, pair.key.get());
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  ::X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Gantry"), -1, -1,
                               0);
  ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
  X509* signer = issuer != nullptr ? issuer->certificate.get() : certificate;
  ::X509_set_issuer_name(certificate, ::X509_get_subject_name(signer));
  for (const auto& [kind, value] : extensions) TRY(add_extension(certificate, signer, kind, value));
  if (::X509_sign(certificate, issuer != nullptr ? issuer->key.get() : pair.key.get(), ::EVP_sha256()) == 0)
    return openssl_failed("sign");
  return pair;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

Result<std::string> alternative_names(std::vector<std::string> hosts) {
  for (const char* always : {"localhost", "127.0.0.1", "::1"}) hosts.emplace_back(always);
  std::string names;
  for (const std::string& host : hosts) {
    const bool strange =
        host.empty() || host.size() > 253 ||
        host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:*-_") !=
            std::string::npos;
    if (strange) return invalid(gantry::quoted(host) + " is no host name or address");
    names += (names.empty() ? "" : ",") + std::string(is_address(host) ? "IP:" : "DNS:") + host;
  }
  return names;
}

}  // namespace

Result<> make_certificates(const CertificateRequest& request) {
  const std::string names = TRY(alternative_names(request.hosts));
  std::error_code error;
  std::filesystem::create_directories(request.directory, error);
  if (error) return internal_error("cannot make " + request.directory.string() + ": " + error.message());
  if (::chmod(request.directory.c_str(), 0700) != 0)
    return Error::from_errno(errno, "chmod", request.directory.string());
  const auto file = [&](const char* name) { return request.directory / name; };
  Pair authority;
  if (std::filesystem::exists(file("ca-key.pem"))) {
    authority = TRY(read_pair(file("ca.pem"), file("ca-key.pem")));
  } else {
    authority = TRY(make_pair("Gantry CA", kAuthorityDays,
                              {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                               {NID_key_usage, "critical,keyCertSign,cRLSign"},
                               {NID_subject_key_identifier, "hash"}},
                              nullptr));
    TRY(write_pair(authority, file("ca.pem"), file("ca-key.pem")));
  }
  const auto leaf = [&](const std::string& name, Extensions extensions, const char* certificate,
                        const char* key) -> Result<> {
    extensions.emplace_back(NID_basic_constraints, "critical,CA:FALSE");
    extensions.emplace_back(NID_key_usage, "critical,digitalSignature");
    extensions.emplace_back(NID_authority_key_identifier, "keyid");
    return write_pair(TRY(make_pair(name, request.days, extensions, &authority)), file(certificate), file(key));
  };
  TRY(leaf(request.hosts.empty() ? "localhost" : request.hosts[0],
           {{NID_ext_key_usage, "serverAuth"}, {NID_subject_alt_name, names}}, "server-cert.pem", "server-key.pem"));
  return leaf(request.client, {{NID_ext_key_usage, "clientAuth"}}, "cert.pem", "key.pem");
}

}  // namespace gantry::client
