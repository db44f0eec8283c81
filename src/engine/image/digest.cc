#include "engine/image/digest.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "base/strings.h"

namespace gantry::engine {

struct Sha256::Context {
  EVP_MD_CTX* state = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(state); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK(context_->state != nullptr && EVP_DigestInit_ex(context_->state, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view data) { CHECK(EVP_DigestUpdate(context_->state, data.data(), data.size()) == 1); }

std::string Sha256::finish() { return "sha256:" + to_hex(finish_bytes()); }

std::array<uint8_t, 32> Sha256::finish_bytes() {
  std::array<uint8_t, 32> bytes;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_->state, bytes.data(), &size) == 1 && size == bytes.size());
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
