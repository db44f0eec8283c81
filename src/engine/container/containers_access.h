// Small things that the containers_*.cc files share and nobody else needs.
#pragma once

#include "engine/container/containers.h"
#include "engine/labels.h"

namespace gantry::engine {

inline Error no_such_container(const std::string& reference) {
  return not_found("No such container: " + reference);
}

// The first attached client's end of input is the program's.
inline bool closes_stdin(const Container& container) {
  return container.spec.open_stdin && container.spec.stdin_once && !container.spec.tty;
}

template <class T>
Container* Containers::get_or_refuse(const ContainerId& id, Reply<T>& reply) {
  if (closing_) {
    context_.answer(std::move(reply), Error(Code::unavailable, "the daemon is shutting down"));
    return nullptr;
  }
  Container* container = get(id);
  if (container == nullptr) context_.answer(std::move(reply), no_such_container(id.str()));
  return container;
}

}  // namespace gantry::engine
