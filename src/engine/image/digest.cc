// For SHA256_Init: EVP_Digest would load OpenSSL's providers first, and keep 2 MB of them for good.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/image/digest.h"

#include <openssl/sha.h>

#include "base/check.h"
#include "base/strings.h"

namespace gantry::engine {

struct Sha256::Context {
  SHA256_CTX state;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK(SHA256_Init(&context_->state) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view data) { CHECK(SHA256_Update(&context_->state, data.data(), data.size()) == 1); }

std::string Sha256::finish() { return "sha256:" + to_hex(finish_bytes()); }

std::array<uint8_t, 32> Sha256::finish_bytes() {
  std::array<uint8_t, 32> bytes;
  CHECK(SHA256_Final(bytes.data(), &context_->state) == 1);
  return bytes;
}

std::string digest_of(std::string_view data) { return "sha256:" + sha256_hex(data); }

bool is_sha256_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 64) return false;
  return std::all_of(text.begin() + kPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string hex_part(const std::string& digest) { return digest.substr(digest.find(':') + 1); }

std::string chain_id(const std::string& parent, const std::string& diff_id) {
  return parent.empty() ? diff_id : digest_of(parent + " " + diff_id);
}

}  // namespace gantry::engine
