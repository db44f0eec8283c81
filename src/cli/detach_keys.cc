#include "cli/detach_keys.h"

#include "base/strings.h"

namespace gantry::cli {
namespace {

// "ctrl-p" → 0x10, "a" → "a"; -1: no key.
int key_of(std::string_view name) {
  if (name.size() == 1) return static_cast<unsigned char>(name[0]);
  if (!name.starts_with("ctrl-") || name.size() != 6) return -1;
  const char key = name[5];
  if (key >= 'a' && key <= 'z') return key - 'a' + 1;
  const size_t special = std::string_view("@[\\]^_").find(key);
  constexpr int kCodes[] = {0, 27, 28, 29, 30, 31};
  return special == std::string_view::npos ? -1 : kCodes[special];
}

}  // namespace

DetachKeys::DetachKeys(std::string_view keys) {
  if (keys == "none") return;
  for (const std::string& name : split(keys.empty() ? "ctrl-p,ctrl-q" : keys, ',')) {
    const int key = key_of(name);
    if (key < 0) {
      sequence_.clear();
      return;
    }
    sequence_ += static_cast<char>(key);
  }
}

void DetachKeys::typed(std::string_view bytes) {
  for (const char c : bytes) {
    if (were_typed() || sequence_.empty()) return;
    matched_ = c == sequence_[matched_] ? matched_ + 1 : c == sequence_[0] ? 1 : 0;
  }
}

}  // namespace gantry::cli
