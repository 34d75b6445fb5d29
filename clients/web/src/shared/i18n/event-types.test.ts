import { describe, expect, it } from "vitest";
import { eventDetails, eventTypeText, eventWords, KNOWN_TYPES } from "./event-types";

describe("types of events", () => {
  it("have names that people use; others are shown as they are", () => {
    for (const type of KNOWN_TYPES) expect(eventTypeText(type)).not.toBe(type);
    expect(eventTypeText("door.opened")).toBe("door.opened");
    // A member of every object is no type.
    expect(eventTypeText("constructor")).toBe("constructor");
  });
});

describe("what is known of an event", () => {
  it("is the rule, what did it and how fast", () => {
    const data = { rule_name: "Ramp", label: "car", track: 18, kmh: 31.4 };
    expect(eventDetails({ data }, "en")).toBe("Ramp · car 18 · 31 km/h");
    expect(eventDetails({ data: { rule_name: "", label: "person" } }, "en")).toBe("person");
  });
  it("does not repeat the rule's name", () => {
    expect(eventWords({ text: "Gate", data: { rule_name: "Gate" } })).toBe("");
    expect(eventWords({ text: "Door 2", data: {} })).toBe("Door 2");
  });
  it("is nothing where the data are somebody else's", () => {
    expect(eventDetails({ data: { rule_name: 7, label: null } }, "en")).toBe("");
    expect(eventDetails({}, "en")).toBe("");
  });
});
