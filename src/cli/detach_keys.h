// The keys that detach a terminal from its container: seen on their way to the daemon, which acts on them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gantry::cli {

class DetachKeys {
 public:
  // "ctrl-p,ctrl-q" (also ""), "ctrl-x,a": keys by name; "none" or nonsense: nothing detaches.
  explicit DetachKeys(std::string_view keys);
  void typed(std::string_view bytes);
  bool were_typed() const { return !sequence_.empty() && matched_ == sequence_.size(); }

 private:
  std::string sequence_;
  size_t matched_ = 0;
};

}  // namespace gantry::cli
