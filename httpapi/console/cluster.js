// The cluster: its nodes and zones, how far each has come, who leads; and what an operator does
// when a machine room is to be left, or is lost.

import { html, useState } from "./html.js";
import { at, change, may, useCluster, withQuery } from "./api.js";
import { number, t } from "./words.js";
import { Ask, Asked, Card, Danger, Empty, Facts, Form, State, Table, Time } from "./parts.js";
import "./words-names.js";
import "./words-cluster.js";

// What the nodes have to agree on may take its time.
const patience = 40000;
const does = (what, body) => change("POST", at("cluster", what), body, { patience });
const modes = ["require", "prefer", "off"];
const kinds = ["voter", "witness", "edge"];
const size = (bytes) => (bytes >= 1 << 20 ? `${number(Math.round(bytes / (1 << 20)))} MiB` : `${number(Math.ceil(bytes / 1024))} KiB`);

function notes(node, cluster) {
  return [
    node.joining && t("cluster.joining"),
    node.generation && node.generation !== cluster.generation && t("cluster.of_generation", { n: node.generation }),
    node.error,
  ].filter(Boolean).join("; ");
}

// Drain keeps shoppers away from a node or a zone, or lets them come again.
const Drain = ({ of, drained }) => {
  const [[kind, name]] = Object.entries(of);
  const what = drained ? "undrain" : "drain";
  return html`<${Ask} label=${t("cluster." + what)} of=${name} title=${t(`cluster.${what}_${kind}`, { name })} text=${t(`cluster.${what}_say`)} done=${t(`cluster.${what}_done`, { name })}
    onDo=${(values) => does(what, { ...of, ...values })} />`;
};

const Remove = ({ node }) => html`<${Danger} label=${t("cluster.remove", { id: node.id })} name=${node.id} title=${t("cluster.remove_title", { id: node.id })} text=${t("cluster.remove_say")}
  done=${t("cluster.remove_done", { id: node.id })} onDo=${(values) => does("remove", { node: node.id, ...values })} />`;

function Nodes({ cluster, admin }) {
  const several = cluster.nodes.length > 1;
  const known = (node) => node.reachable || node.applied_index > 0;
  const rows = [...cluster.nodes].sort((a, b) => a.zone.localeCompare(b.zone) || a.id.localeCompare(b.id));
  const columns = [
    { title: t("cluster.node"), cell: (n) => n.id, sort: (n) => n.id },
    { title: t("cluster.zone"), cell: (n) => n.zone, sort: (n) => n.zone },
    { title: t("cluster.role"), cell: (n) => html`<${State} group="noderole" is=${n.reachable ? n.role : "unreachable"} />`, sort: (n) => n.role },
    { title: t("cluster.kind"), cell: (n) => n.kind && t("nodekind." + n.kind), sort: (n) => n.kind },
    { title: t("cluster.lag"), number: true, cell: (n) => known(n) && number(n.lag), sort: (n) => n.lag },
    { title: t("cluster.applied"), number: true, cell: (n) => known(n) && number(n.applied_index), sort: (n) => n.applied_index },
    { title: t("cluster.durable"), number: true, cell: (n) => n.durable_index > 0 && number(n.durable_index), sort: (n) => n.durable_index },
    { title: t("cluster.ledger"), number: true, cell: (n) => n.ledger_index > 0 && number(n.ledger_index), sort: (n) => n.ledger_index },
    { title: t("cluster.clock"), number: true, cell: (n) => n.reachable && `${n.clock_offset_ms > 0 ? "+" : ""}${Math.round(n.clock_offset_ms)} ms`, sort: (n) => n.clock_offset_ms },
    { title: t("cluster.log"), number: true, cell: (n) => n.wal_bytes > 0 && size(n.wal_bytes), sort: (n) => n.wal_bytes },
    { title: t("cluster.looks"), number: true, cell: (n) => n.looks > 0 && `${Math.round(100 * n.looks_share)}%`, sort: (n) => n.looks_share },
    { title: t("cluster.grabs"), number: true, cell: (n) => n.grabs > 0 && `${Math.round(100 * n.grabs_share)}%`, sort: (n) => n.grabs_share },
    { title: t("cluster.version"), cell: (n) => n.version, sort: (n) => n.version },
    { title: t("cluster.notes"), wide: true, cell: (n) => html`${n.drained && html`<${State} group="noderole" is="drained" /> `}${n.preferred && html`<span class="state">${t("cluster.preferred")}</span> `}${notes(n, cluster)}` },
  ];
  if (admin && several) {
    columns.push({ title: t("cluster.actions"), hidden: true, cell: (n) => n.kind !== "witness" && html`<${Drain} of=${{ node: n.id }} drained=${n.drained} />` });
  }
  return html`<${Table} of=${t("cluster.nodes")} rows=${rows} rowKey=${(n) => n.id} columns=${columns} />`;
}

function Zones({ cluster, admin }) {
  const zones = [...new Set(cluster.nodes.map((n) => n.zone))].sort();
  if (zones.length < 2) return null;
  return html`<div class="cards">${zones.map((zone) => {
    const own = cluster.nodes.filter((n) => n.zone === zone);
    const preferred = own.some((n) => n.preferred);
    const drained = own.every((n) => n.drained || n.kind === "witness");
    return html`<${Card} key=${zone} title=${t("cluster.zone_of", { zone })} aside=${own.some((n) => n.id === cluster.leader) && html`<${State} group="noderole" is="leader" />`}>
      <${Facts} of=${[
        [t("cluster.up"), `${own.filter((n) => n.reachable).length} / ${own.length}`],
        [t("cluster.lag"), number(Math.max(...own.map((n) => n.lag)))],
        [t("cluster.drained"), own.filter((n) => n.drained).map((n) => n.id).join(", ") || t("cluster.none")],
      ]} />
      ${admin && html`<div class="buttons"><${Drain} of=${{ zone }} drained=${drained} />
        <${Ask} label=${preferred ? t("cluster.prefer_no") : t("cluster.prefer")} of=${zone} text=${t("cluster.prefer_say")} done=${t("cluster.prefer_done")}
          onDo=${(values) => does("prefer", { zone: preferred ? "" : zone, ...values })} /></div>`}
    <//>`;
  })}</div>`;
}

function Doings({ cluster }) {
  const able = cluster.nodes.filter((n) => n.kind === "voter" && n.reachable && n.id !== cluster.leader);
  return html`<${Card} title=${t("cluster.doings")}>
    <div class="buttons">
      <${Ask} label=${t("cluster.transfer")} text=${t("cluster.transfer_say")} done=${t("cluster.transfer_done")}
        fields=${[["to", { label: t("cluster.transfer_to"), kind: "select", options: [["", t("cluster.best")], ...able.map((n) => [n.id, `${n.id} (${n.zone})`])] }]]}
        onDo=${({ to, ...rest }) => does("transfer", { from: cluster.leader, ...(to && { to }), ...rest })} />
      <${Ask} label=${t("cluster.zone_ack")} title=${t("cluster.zone_ack_title")} text=${t("cluster.zone_ack_say")} done=${t("cluster.zone_ack_done")}
        fields=${[["mode", { label: t("cluster.mode"), kind: "select", value: cluster.zone_ack.mode || "off", options: modes.map((m) => [m, t("ackmode." + m)]) }],
          ["sure", { label: t("cluster.sure"), hint: t("cluster.sure_say"), kind: "check", value: false }]]}
        onDo=${({ sure, ...body }) => change("POST", withQuery(at("cluster", "zone-ack"), { sure: sure && "true" }), body, { patience })} />
      <${Ask} label=${t("cluster.snapshot")} text=${t("cluster.snapshot_say")} done=${t("cluster.snapshot_done")} onDo=${(values) => does("snapshot", values)} />
      <${Ask} label=${t("cluster.join")} text=${t("cluster.join_say")} done=${t("cluster.join_done")}
        fields=${[["id", { label: t("cluster.node"), required: true, maxlength: 64, spellcheck: false }], ["zone", { label: t("cluster.zone"), required: true, maxlength: 64, spellcheck: false }],
          ["kind", { label: t("cluster.kind"), kind: "select", value: "voter", options: kinds.map((k) => [k, t("nodekind." + k)]) }],
          ["peer", { label: t("cluster.peer"), required: true, spellcheck: false }]]}
        onDo=${(values) => does("join", values)} />
    </div>
    <div class="apart"><span class="hint">${t("cluster.remove_hint")}</span>${cluster.nodes.map((n) => html`<${Remove} key=${n.id} node=${n} />`)}</div>
  <//>`;
}

// Promote makes the zone of the node that answers take over, by a plan that is read first.
function Promote({ cluster }) {
  const own = cluster.nodes.find((n) => n.id === cluster.answered_by);
  const [plan, setPlan] = useState(null);
  const look = async () => setPlan(await does("promote", { zone: own.zone, dry_run: true }));
  if (!own) return null;
  return html`<${Card} title=${t("cluster.promote")}>
    <p>${t("cluster.promote_say", { zone: own.zone, node: own.id })}</p>
    <${Form} strong=${false} onDo=${look} label=${t("cluster.promote_plan")} />
    ${plan && html`
      <${Facts} of=${[
        [t("cluster.zone"), plan.zone], [t("cluster.node"), plan.node], [t("cluster.generation"), `${plan.generation} → ${plan.next_generation}`],
        [t("cluster.heard"), plan.leader_heard_ago || t("cluster.never")], [t("cluster.unreachable"), plan.unreachable.join(", ") || t("cluster.none")],
        [t("cluster.applied"), number(plan.applied_index)],
      ]} />
      ${plan.refusal && html`<p class="bad">${plan.refusal} ${plan.wait && t("cluster.wait", { wait: plan.wait })}</p>`}
      <ul>${plan.will.map((line) => html`<li>${line}</li>`)}</ul>
      <div class="apart"><${Danger} label=${t("cluster.promote_do")} name=${plan.zone} disabled=${Boolean(plan.refusal)} text=${t("cluster.promote_warning")} done=${t("cluster.promote_done", { zone: plan.zone })}
        onDo=${(values) => does("promote", { zone: plan.zone, token: plan.token, ...values })} /></div>`}
  <//>`;
}

export function View({ session }) {
  const asked = useCluster();
  const admin = may(session, "admin");
  return html`<h1>${t("view.cluster")}</h1>
    <${Asked} of=${asked}>${(cluster) => html`
      <${Card} title=${cluster.cluster || t("cluster.alone")} aside=${admin && html`<a class="button" href=${at("cluster", "backup")} download="doorbuster.backup">${t("cluster.backup")}</a>`}>
        <${Facts} of=${[
          [t("cluster.leader"), cluster.leader || html`<span class="bad">${t("shell.no_leader")}</span>`],
          [t("cluster.term"), number(cluster.term)], [t("cluster.epoch"), number(cluster.epoch)], [t("cluster.generation"), cluster.generation > 0 && number(cluster.generation)],
          [t("cluster.rules"), cluster.rules_version], [t("cluster.answered"), cluster.answered_by], [t("cluster.fsync"), cluster.fsync_ms > 0 && `${number(Math.round(10 * cluster.fsync_ms) / 10)} ms`],
          [t("cluster.zone_ack"), cluster.zone_ack.mode && t("zoneack." + cluster.zone_ack.state)],
          [t("cluster.zone_index"), cluster.zone_ack.zone_index > 0 && number(cluster.zone_ack.zone_index)],
          [t("cluster.state_at"), html`<${Time} at=${cluster.state_at} />`],
        ].filter(([, value]) => value)} />
      <//>
      <${Card} title=${t("cluster.nodes")}><${Nodes} cluster=${cluster} admin=${admin} /><//>
      <${Zones} cluster=${cluster} admin=${admin} />
      ${admin && (cluster.nodes.length > 1 || cluster.cluster ? html`<${Doings} cluster=${cluster} /><${Promote} cluster=${cluster} />`
        : html`<${Empty} title=${t("cluster.alone")}>${t("cluster.alone_say")}<//>`)}`}<//>`;
}
