// What is known of a project's containers while a plan runs: a snapshot, kept fresh by the engine's events, so that
// waiting for a thousand services does not take a snapshot for each. Where an event alone cannot tell (a container
// died, and its restart policy may bring it back) the container is marked uncertain, until the next snapshot.
// Pure; no thread of its own.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "engine/iface/events.h"
#include "engine/iface/observed.h"

namespace gantry::compose {

class ProjectView {
 public:
  struct Seen {
    engine::ObservedContainer container;
    bool certain = true;
    // What the specification tells, for containers made by this plan; others: nothing is known.
    std::optional<bool> may_restart;
    std::optional<bool> has_health_check;
  };

  explicit ProjectView(const engine::Snapshot& snapshot);

  // A container that this plan made.
  void created(const ContainerId& id, const engine::ContainerSpec& spec);
  // The engine says that it was started. Its event says the same, before or after.
  void start_replied(const ContainerId& id);
  // True if it changed a container that is known.
  bool apply(const engine::Event& event);

  // Between these two, events are applied and kept: they may be newer than the snapshot.
  void begin_refresh();
  void end_refresh(const engine::Snapshot* snapshot);  // nullptr: it failed

  const Seen* find(const ContainerId& id) const;

 private:
  void update(const engine::Event& event, Seen& seen);

  std::map<ContainerId, Seen> containers_;
  bool refreshing_ = false;
  std::vector<engine::Event> during_refresh_;
  std::map<ContainerId, Seen> born_during_refresh_;
};

std::string attribute(const engine::Event& event, const char* name);  // "" if it has none such

}  // namespace gantry::compose
