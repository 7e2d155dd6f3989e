// Does the work of the Grafana application between a dashboard and Prometheus: variables, and answers as data frames.
import { toDataFrame } from '@grafana/data';

async function ask(context, path, parameters) {
  const form = new URLSearchParams();
  Object.entries(parameters).forEach(([name, value]) => form.append(name, value));
  const isPost = path.startsWith('query');
  const url = `${context.prometheus}/api/v1/${path}`;
  const answer = await (isPost ? fetch(url, { method: 'POST', body: form }) : fetch(`${url}?${form}`));
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${body.errorType}: ${body.error}`);
  return body.data;
}

export const stepOf = ({ from, to }, width = 400) => Math.max(1, Math.ceil((to - from) / width));

// Fills in the variables of a text. `scoped` holds the variables of the cell that a link is in.
export function interpolate(text, context, scoped, format) {
  const step = stepOf(context), range = Math.ceil(context.to - context.from);
  const builtin = {
    __interval: `${step}s`, __rate_interval: `${Math.max(4 * step, 8)}s`, __range: `${range}s`, __range_s: `${range}`,
  };
  const cell = scoped?.__dataContext?.value;
  return String(text ?? '').replace(/\$\{([\w.]+)\}|\$(\w+)/g, (all, braced, bare) => {
    const name = braced ?? bare;
    if (name in builtin) return builtin[name];
    let value = context.variables[name];
    if (name === '__value.raw' && cell) value = cell.field.values[cell.rowIndex];
    if (name.startsWith('__data.fields.') && cell) {
      value = context.proxy({ frame: cell.frame, rowIndex: cell.rowIndex })[name.slice(14)]?.text;
    }
    if (value === undefined) return all;
    return format === 'uriencode' ? encodeURIComponent(value) : String(value);
  });
}

// Sets every variable to "All". Its query must answer, as in Grafana.
export async function chooseVariables(dashboard, context, problem) {
  for (const variable of dashboard.templating.list) {
    if (variable.type === 'datasource') {
      context.variables[variable.name] = 'prometheus';
      continue;
    }
    context.variables[variable.name] = variable.allValue;
    const [, selector, label] = variable.query.query.match(/^label_values\((.+), (\w+)\)$/);
    const times = { start: context.from, end: context.to };
    const values = await ask(context, `label/${label}/values`, { ...times, 'match[]': interpolate(selector, context) });
    if (!values.length) problem(`the variable ${variable.name} has no values`);
  }
}

const legend = (format, labels) => format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');

// One frame for a table: the time, each label in alphabetical order, the value.
function tableFrame(target, result, isAlone) {
  const names = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].filter((name) => name !== '__name__').sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: 'time', values: result.map(({ value }) => value[0] * 1000) },
      ...names.map((name) => ({ name, type: 'string', values: result.map(({ metric }) => metric[name] ?? '') })),
      { name: isAlone ? 'Value' : `Value #${target.refId}`, type: 'number', values: result.map(({ value }) => Number(value[1])) },
    ],
  });
}

function seriesFrame(target, one, { from, to }, step) {
  let points = [one.value];
  if (one.values) {
    const at = new Map(one.values.map(([time, value]) => [Math.round(time), value]));
    points = [];
    for (let time = from; time <= to; time += step) points.push([time, at.get(Math.round(time)) ?? null]);
  }
  const name = target.legendFormat === '__auto' ? undefined : legend(target.legendFormat, one.metric);
  return toDataFrame({
    refId: target.refId, name,
    fields: [
      { name: 'Time', type: 'time', values: points.map(([time]) => time * 1000) },
      {
        name: 'Value', type: 'number', labels: one.metric, config: { displayNameFromDS: name },
        values: points.map(([, value]) => (value === null ? null : Number(value))),
      },
    ],
  });
}

export async function frames(panel, context, problem) {
  const step = stepOf(context);
  const found = [];
  for (const target of panel.targets) {
    const query = interpolate(target.expr, context);
    if (/\$/.test(query)) problem(`a variable is left in ${query}`);
    const { result } = target.instant
      ? await ask(context, 'query', { query, time: context.to })
      : await ask(context, 'query_range', { query, start: context.from, end: context.to, step });
    if (target.format !== 'table') found.push(...result.map((one) => seriesFrame(target, one, context, step)));
    else if (result.length) found.push(tableFrame(target, result, panel.targets.length === 1));
  }
  return found;
}
