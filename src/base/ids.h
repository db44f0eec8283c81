// Ids that cannot be mixed up: Id<struct ContainerTag> is no Id<struct NetworkTag>.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

#include "base/random.h"

namespace gantry {

template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}

  // 64 lower-case hexadecimal digits, as Docker's ids.
  static Id random(Random& random) { return Id(random_hex(random, 32)); }

  const std::string& str() const { return text_; }
  std::string short_form() const { return text_.substr(0, 12); }
  bool empty() const { return text_.empty(); }

  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  std::string text_;
};

using ContainerId = Id<struct ContainerTag>;
using NetworkId = Id<struct NetworkTag>;
using ExecId = Id<struct ExecTag>;
// "sha256:" and 64 hexadecimal digits: the digest of the image's config.
using ImageId = Id<struct ImageTag>;

}  // namespace gantry

template <class Tag>
struct std::hash<gantry::Id<Tag>> {
  size_t operator()(const gantry::Id<Tag>& id) const { return std::hash<std::string>()(id.str()); }
};
