#include "engine/container/lifecycle.h"

#include <gtest/gtest.h>

#include <functional>

namespace gantry::engine {
namespace {

using State = ContainerState;
const ContainerLabel kWeb{ContainerId("abc"), "web"};

std::string text(const Result<>& result) { return result.ok() ? "" : result.error().message(); }

TEST(Lifecycle, RefusalsAreInDockersWords) {
  const struct {
    Result<> result;
    Code code;
    const char* message;
  } rows[] = {
      {may_start(kWeb, State::running), Code::not_modified, "container abc is running already"},
      {may_start(kWeb, State::paused), Code::conflict, "cannot start a paused container, try unpause instead"},
      {may_start(kWeb, State::removing), Code::conflict, "container is marked for removal and cannot be started"},
      {may_stop(kWeb, State::exited), Code::not_modified, "container abc is not running"},
      {may_kill(kWeb, State::created), Code::conflict, "cannot kill container: web: container abc is not running"},
      {may_pause(kWeb, State::paused), Code::conflict, "Container abc is already paused"},
      {may_pause(kWeb, State::restarting), Code::conflict,
       "Container abc is restarting, wait until the container is running"},
      {may_pause(kWeb, State::exited), Code::conflict, "container abc is not running"},
      {may_unpause(kWeb, State::running), Code::internal, "Container abc is not paused"},
      {may_exec(kWeb, State::paused), Code::conflict, "Container web is paused, unpause the container before exec"},
      {may_exec(kWeb, State::exited), Code::conflict, "container abc is not running"},
      {may_attach(kWeb, State::paused), Code::conflict, "container web is paused, unpause the container before attach"},
      {may_remove(kWeb, State::running, false), Code::conflict,
       "cannot remove container \"web\": container is running: stop the container before removing or force remove"},
      {may_remove(kWeb, State::paused, false), Code::conflict,
       "cannot remove container \"web\": container is paused and must be unpaused first"},
      {may_remove(kWeb, State::removing, true), Code::conflict, "removal of container web is already in progress"},
  };
  for (const auto& row : rows) {
    ASSERT_FALSE(row.result.ok()) << row.message;
    EXPECT_EQ(text(row.result), row.message);
    EXPECT_EQ(row.result.error().code(), row.code) << row.message;
  }
}

TEST(Lifecycle, WhatIsAllowedIsAllowed) {
  for (State state : {State::created, State::exited, State::dead, State::restarting}) {
    EXPECT_EQ(text(may_start(kWeb, state)), "") << to_string(state);
  }
  for (State state : {State::running, State::paused, State::restarting}) {
    EXPECT_EQ(text(may_stop(kWeb, state)), "") << to_string(state);
    EXPECT_EQ(text(may_remove(kWeb, state, true)), "") << to_string(state);
  }
  for (State state : {State::created, State::exited, State::dead}) {
    EXPECT_EQ(text(may_remove(kWeb, state, false)), "") << to_string(state);
    EXPECT_EQ(text(may_attach(kWeb, state)), "") << to_string(state);
  }
}

TEST(Lifecycle, AStartForgetsTheLastEnd) {
  ContainerStatus status;
  status.state = State::exited;
  status.exit_code = 3;
  status.error = "broken";
  status.oom_killed = true;
  status.stopped_by_user = true;
  const WallTime now{std::chrono::seconds(1000)};
  const ContainerStatus running = after_start(status, now, true);
  EXPECT_EQ(running.state, State::running);
  EXPECT_EQ(running.exit_code, 0);
  EXPECT_EQ(running.error, "");
  EXPECT_FALSE(running.oom_killed);
  EXPECT_FALSE(running.stopped_by_user);
  EXPECT_EQ(running.started_at, now);
  EXPECT_EQ(running.health, HealthState::starting);
  EXPECT_EQ(after_start(status, now, false).health, HealthState::none);
}

TEST(Lifecycle, AFailedStartLeavesItAsItWasBefore) {
  EXPECT_EQ(after_failed_start({}, {.exit_code = 127, .message = "no"}).state, State::created);
  EXPECT_EQ(after_failed_start({}, {.exit_code = 127, .message = "no"}).exit_code, 127);
  ContainerStatus ran;
  ran.state = State::restarting;
  ran.started_at = WallTime{std::chrono::seconds(1)};
  const ContainerStatus failed = after_failed_start(ran, {.exit_code = 128, .message = "port"});
  EXPECT_EQ(failed.state, State::exited);
  EXPECT_EQ(failed.error, "port");
}

TEST(Lifecycle, AnEndFreesWhatTheRunHeld) {
  ContainerStatus status = after_start({}, WallTime{std::chrono::seconds(1)}, true);
  status.endpoints.emplace_back();
  status.published.emplace_back();
  const ExitReport report{.exit_code = 137, .finished_at = WallTime{std::chrono::seconds(2)}, .oom_killed = true};
  const ContainerStatus ended = after_end(status, report, false);
  EXPECT_EQ(ended.state, State::exited);
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_TRUE(ended.oom_killed);
  EXPECT_EQ(ended.health, HealthState::unhealthy);
  EXPECT_TRUE(ended.endpoints.empty());
  EXPECT_TRUE(ended.published.empty());
  EXPECT_EQ(after_end(status, report, true).state, State::dead);
}

}  // namespace
}  // namespace gantry::engine
