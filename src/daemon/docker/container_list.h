// Which containers GET /containers/json shows. Pure but for image look-ups.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/docker/filters.h"
#include "daemon/router.h"
#include "engine/local_engine.h"

namespace gantry::daemon::docker {

class ContainerQuery {
 public:
  // `all`, `limit`, `size`, `filters`. Errors as Docker words them.
  static Result<ContainerQuery> parse(const Query& query);
  // The Compose project that is asked for, when nothing outside of it matters: then only its containers need be looked at.
  std::optional<std::string> project() const;
  // In the order of `containers`, which is newest first. Code::not_found for an unknown `before` or `since`.
  Result<std::vector<const engine::ListedContainer*>> choose(const std::vector<engine::ListedContainer>& containers,
                                                              const engine::ImageStore& images) const;

 private:
  bool passes(const engine::ListedContainer& container) const;
  Result<WallTime> created_at(const std::string& key, const std::vector<engine::ListedContainer>& containers) const;

  Filters filters_;
  bool all_ = false;
  size_t limit_ = 0;  // 0: none
};

}  // namespace gantry::daemon::docker
