#include "cli/targets.h"

#include <algorithm>

namespace gantry::cli {

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

Result<ContainerRow> find_container(Session& session, const std::string& service, std::optional<int64_t> index,
                                    Search search) {
  const std::string project = TRY(session.project_name());
  auto rows = TRY(session.containers(project, search == Search::any, Session::Labels::all, service));
  std::erase_if(rows, [&](const ContainerRow& row) {
    return index && (row.one_off() || row.number() != *index);
  });
  if (rows.empty()) {
    const std::string which = index ? " container #" + std::to_string(*index) : "";
    return search == Search::running
               ? not_found("service " + gantry::quoted(service) + " is not running" + which)
               : not_found("no container found for service " + gantry::quoted(service) + which);
  }
  return *std::min_element(rows.begin(), rows.end(), [](const ContainerRow& a, const ContainerRow& b) {
    return std::pair(a.one_off(), a.number()) < std::pair(b.one_off(), b.number());
  });
}

Result<std::vector<ContainerRow>> find_containers(Session& session, const std::string& project,
                                                  const std::vector<std::string>& services,
                                                  const std::vector<std::string>& states) {
  auto rows = TRY(session.containers(project, true, Session::Labels::all, services.size() == 1 ? services[0] : std::string()));
  std::erase_if(rows, [&](const ContainerRow& row) {
    return (!services.empty() && !contains(services, row.service())) || (!states.empty() && !contains(states, row.state));
  });
  return rows;
}

}  // namespace gantry::cli
