// Points between two changes of state, at which tests kill the process: with GANTRY_FAULT=POINT:N in the daemon's
// environment, read once, it sends itself SIGKILL when it reaches POINT for the Nth time; GANTRY_FAULT=POINT:N:FILE leaves
// FILE behind as a sign of it. Compiled into every build, so that what is tested is what is shipped: without the variable a
// point costs one load and one branch. Whoever sets the daemon's environment could stop it anyway. Any thread.
//
// docs/reliability.md lists the points, shim/fault.h has those of the shim.
#pragma once

namespace gantry {

// The setting as it was given, for the shims, which get no other environment; nullptr: none.
const char* fault_setting();

namespace fault {
extern const bool kIsSet;
void reached(const char* point, const char* part);
// The same with another setting than the process's own, which counts along.
void reached(const char* setting, const char* point, const char* part);
}  // namespace fault

// `part` is a suffix of the name: "store project", " before".
inline void fault_point(const char* point, const char* part = "") {
  if (fault::kIsSet) [[unlikely]] fault::reached(point, part);
}

}  // namespace gantry
