// Identity of a step's result: a hash over everything that decides it. Fields are framed, so that no two lists of
// fields give the same bytes. Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "engine/image/digest.h"

namespace gantry::engine {

class CacheKey {
 public:
  // `kind` keeps different sorts of steps apart.
  explicit CacheKey(std::string_view kind) { add(kind); }

  CacheKey& add(std::string_view text) {
    add(uint64_t{text.size()});
    feed(text);
    return *this;
  }
  CacheKey& add(uint64_t number) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
    feed({bytes, sizeof bytes});
    return *this;
  }
  template <class Texts>
  CacheKey& add_list(const Texts& texts) {
    add(static_cast<uint64_t>(texts.size()));
    for (const auto& text : texts) add(std::string_view(text));
    return *this;
  }
  std::string finish();  // once

 private:
  // Inline, because a context of many files is a million of them.
  void feed(std::string_view bytes) {
    if (bytes.size() > kMostPending - used_) return feed_more(bytes);
    memcpy(pending_.get() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
  }
  void feed_more(std::string_view bytes);
  void hash_pending();

  static constexpr size_t kMostPending = 4096;
  Sha256 hash_;
  // Many small fields are hashed at once. Not within the object: a walk has one for each directory on its way down.
  std::unique_ptr<char[]> pending_ = std::make_unique_for_overwrite<char[]>(kMostPending);
  size_t used_ = 0;  // of them
};

}  // namespace gantry::engine
