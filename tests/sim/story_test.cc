// Thousands of stories of commands and faults (support/sim_story.h) that the controller must get through, and broken
// controllers, which must not.
//
//   GANTRY_SIM_SEED=N bin/sim --gtest_filter=Story.OneSeed      tells that seed's story and what happened
//   GANTRY_SIM_STORY=FILE bin/sim --gtest_filter=Story.OneFile  the same for a story that was written down
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/log.h"
#include "base/strings.h"
#include "compose/plan_hook.h"
#include "support/sim_story.h"

using namespace gantry;
using namespace gantry::compose;
using namespace gantry::test;

// Instead of the daemon's, which does nothing.
void gantry::compose::before_run(Plan& plan, const ProgressSink* asked_by) { look_at_plan(plan, asked_by); }

namespace {

#ifdef NDEBUG
constexpr uint64_t kStories = 20'000;
constexpr uint64_t kParts = 4;  // that can run side by side
#else
constexpr uint64_t kStories = 1'000;  // unoptimised code takes its time
constexpr uint64_t kParts = 1;
#endif
constexpr uint64_t kEnoughForAllPairs = 1'000;
constexpr uint64_t kMutantSeeds = 500;

uint64_t number_of(const char* variable, uint64_t usual) {
  const char* text = std::getenv(variable);
  return text == nullptr ? usual : parse_unsigned(text).value_or(usual);
}

std::string explain(uint64_t seed, const Story& story, const Telling& telling, const Mutant& mutant = {}) {
  const Story shorter = shrink(story, mutant);
  const Telling again = tell(shorter, mutant);
  return "seed " + std::to_string(seed) + ": " + telling.violation + "\nThe shortest story that fails (" +
         again.violation + "):\n" + shorter.text() +
         "Save it, then: GANTRY_SIM_STORY=FILE bin/sim --gtest_filter=Story.OneFile\n" + again.history;
}

void retell(const Story& story) {
  const Telling telling = tell(story);
  std::cerr << story.text() << telling.history << telling.steps << " steps\n";
  EXPECT_EQ(telling.violation, "");
}

// What the daemon would log is in the history of a story that is told alone.
class StoryPart : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override { set_log_level(LogLevel::error); }
  void TearDown() override { set_log_level(LogLevel::info); }
};

// Steps that satisfy `is_gone` are forgotten, and what came after them comes after what they came after.
template <class IsGone>
void forget_steps(Plan& plan, IsGone is_gone) {
  Plan less;
  less.facts = plan.facts;
  less.warnings = plan.warnings;
  std::map<StepId, std::vector<StepId>> becomes;
  for (Step step : plan.steps) {
    const StepId old = step.id;
    std::vector<StepId> after;
    for (StepId needed : step.after) after.insert(after.end(), becomes[needed].begin(), becomes[needed].end());
    step.after = after;
    if (is_gone(step)) {
      becomes[old] = after;
    } else {
      becomes[old] = {less.add(std::move(step))};
    }
  }
  plan = std::move(less);
}

template <class... Actions>
bool is_one_of(const Step& step) {
  return (std::holds_alternative<Actions>(step.action) || ...);
}

// The controllers that no test may let pass.
std::map<std::string, Mutant> mutants() {
  std::map<std::string, Mutant> all;
  all["waits for nobody"] = {.spoil = [](Plan& plan) { forget_steps(plan, is_one_of<WaitFor>); }};
  all["starts before what is needed"] = {.spoil = [](Plan& plan) {
    for (Step& step : plan.steps) {
      if (!is_one_of<StartContainer>(step)) continue;
      std::erase_if(step.after, [&plan](StepId id) { return !is_one_of<CreateContainer>(plan.step(id)); });
    }
  }};
  all["stops what is still needed"] = {.spoil = [](Plan& plan) {
    for (Step& step : plan.steps) {
      if (is_one_of<StopContainer>(step)) step.after.clear();
    }
  }};
  all["leaves the old replica running"] = {.spoil = [](Plan& plan) {
    bool replaces = false;
    for (const Step& step : plan.steps) replaces = replaces || is_one_of<RenameContainer>(step);
    if (replaces) forget_steps(plan, is_one_of<StopContainer, RemoveContainer, RenameContainer>);
  }};
  all["forgets networks when it takes down"] = {
      .spoil = [](Plan& plan) { forget_steps(plan, is_one_of<RemoveNetwork>); }};
  all["gives no reasons"] = {.spoil = [](Plan& plan) {
    for (Step& step : plan.steps) step.cause.clear();
  }};
  all["does not back off"] = {.hasty = true};
  all["does not hear of ends"] = {.deaf = true};
  all["forgets what it keeps"] = {.forgetful = true};
  return all;
}

}  // namespace

TEST_P(StoryPart, HoldsForEverySeed) {
  const uint64_t count = number_of("GANTRY_SIM_STORIES", kStories) / kParts;
  const uint64_t first = number_of("GANTRY_SIM_FIRST", 1) + GetParam() * count;
  std::map<std::pair<Op, Fault>, uint64_t> met;
  uint64_t steps = 0;
  uint64_t longest = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Story story = Story::from_seed(seed);
    const Telling telling = tell(story);
    ASSERT_EQ(telling.violation, "") << explain(seed, story, telling);
    for (const auto& [pair, times] : telling.met) met[pair] += times;
    steps += telling.steps;
    longest = std::max(longest, telling.steps_to_rest);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::string rare = "nothing";
  uint64_t rarest = UINT64_MAX;
  int pairs = 0;
  for (int op = 0; op < kOps; ++op) {
    for (int fault = 0; fault < kFaults; ++fault) {
      const std::pair pair{static_cast<Op>(op), static_cast<Fault>(fault)};
      if (!can_meet(pair.first, pair.second)) continue;
      const std::string name = std::string(to_string(pair.first)) + " " + to_string(pair.second);
      if (count >= kEnoughForAllPairs) {
        EXPECT_GT(met[pair], 0U) << "no story met this: " << name;
      }
      if (met[pair] < rarest) rare = name;
      rarest = std::min(rarest, met[pair]);
      pairs += met[pair] > 0 ? 1 : 0;
    }
  }
  std::cerr << count << " seeds from " << first << ", " << steps << " steps, "
            << static_cast<uint64_t>(static_cast<double>(count) / seconds) << " seeds/s; at rest after at most "
            << longest << " steps; " << pairs << " pairs of action and fault met, rarest: " << rare << " (" << rarest
            << ")\n";
}

INSTANTIATE_TEST_SUITE_P(Sim, StoryPart, testing::Range<uint64_t>(0, kParts));

// A seed that the true controller does not pass, either, catches nobody.
TEST(Story, EveryMutantIsCaught) {
  set_log_level(LogLevel::error);
  for (const auto& [name, mutant] : mutants()) {
    uint64_t seed = 0;
    Telling telling;
    while (telling.violation.empty() && seed < kMutantSeeds) telling = tell(Story::from_seed(++seed), mutant);
    EXPECT_NE(telling.violation, "") << "the controller that " << name << " passes " << kMutantSeeds << " seeds";
    if (telling.violation.empty()) continue;
    EXPECT_EQ(tell(Story::from_seed(seed)).violation, "") << "seed " << seed << " says nothing about one that " << name;
    std::cerr << "the controller that " << name << " is caught by seed " << seed << ": "
              << telling.violation.substr(0, telling.violation.find('\n')) << "\n";
  }
}

TEST(Story, AFailureIsTheSameEachTimeAndBecomesAShortStory) {
  const Mutant mutant = mutants().at("waits for nobody");
  uint64_t seed = 1;
  while (seed < kMutantSeeds && tell(Story::from_seed(seed), mutant).violation.empty()) ++seed;
  const Story story = Story::from_seed(seed);
  EXPECT_EQ(tell(story, mutant).history, tell(story, mutant).history);
  const Story shorter = shrink(story, mutant);
  EXPECT_LE(shorter.acts.size(), 3U) << shorter.text();
  EXPECT_NE(tell(shorter, mutant).violation, "");
  auto read = Story::parse(shorter.text());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, shorter);
}

TEST(Story, OneSeed) {
  if (std::getenv("GANTRY_SIM_SEED") == nullptr) GTEST_SKIP() << "GANTRY_SIM_SEED names the seed to tell";
  retell(Story::from_seed(number_of("GANTRY_SIM_SEED", 1)));
}

TEST(Story, OneFile) {
  const char* file = std::getenv("GANTRY_SIM_STORY");
  if (file == nullptr) GTEST_SKIP() << "GANTRY_SIM_STORY names the file of the story to tell";
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  auto story = Story::parse(text.str());
  ASSERT_TRUE(story.ok()) << story.error().message();
  retell(*story);
}
