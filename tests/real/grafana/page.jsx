// Draws a dashboard with Grafana's own libraries and the data of a real Prometheus.
//
// @grafana/data applies transformations, field configuration, units, thresholds, mappings and links;
// @grafana/ui draws tables, stats, bars and lines. queries.js and this file do the rest of the Grafana application
// (queries, variables, the positions of panels), as far as our dashboards need it.
//
// ?prom=URL&from=SECONDS&to=SECONDS; `dashboard.json` is beside this page. When everything is drawn, `window.ready` is
// true and `window.problems` lists the panels that could not be drawn.
import React from 'react';
import { createRoot } from 'react-dom/client';
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import { lastValueFrom } from 'rxjs';
import * as data from '@grafana/data';
import * as ui from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { chooseVariables, frames, interpolate } from './queries.js';

const given = new URLSearchParams(location.search);
const theme = data.createTheme({ colors: { mode: 'dark' } });
const CELL = 30, GAP = 8, PHONE = 768;
window.problems = [];
const problem = (panel, message) => window.problems.push(`${panel?.title ?? 'dashboard'}: ${message}`);

// --- registrations that the application makes and the libraries only define ------------------------------------------------
const property = (id, process, isCustom = false) => ({
  id, path: isCustom ? id.replace('custom.', '') : id, name: id, isCustom, process,
  shouldApply: () => true, editor: () => null, override: () => null, getItemsCount: () => 0, settings: {},
});
const as_is = data.identityOverrideProcessor;
const STANDARD = {
  unit: data.unitOverrideProcessor, min: data.numberOverrideProcessor, max: data.numberOverrideProcessor,
  decimals: data.numberOverrideProcessor, displayName: data.displayNameOverrideProcessor,
  noValue: data.stringOverrideProcessor, thresholds: data.thresholdsOverrideProcessor,
  mappings: data.valueMappingsOverrideProcessor, links: data.dataLinksOverrideProcessor, color: as_is,
};
const CUSTOM = [
  'align', 'cellOptions', 'filterable', 'inspect', 'minWidth', 'width', 'wrapText',
  'drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking',
];
const registry = new data.FieldConfigOptionsRegistry(() => [
  ...Object.entries(STANDARD).map(([id, process]) => property(id, process)),
  ...CUSTOM.map((id) => property(`custom.${id}`, as_is, true)),
]);
data.standardFieldConfigEditorRegistry.setInit?.(() => Object.entries(STANDARD).map(([id, process]) => property(id, process)));
data.standardTransformersRegistry.setInit?.(() =>
  [...new Map(Object.values(data.standardTransformers).map((one) => [one.id, one])).values()].map((one) => ({
    id: one.id, name: one.name, transformation: async () => one, editor: () => null, imageDark: '', imageLight: '',
  })));
data.locationUtil.initialize({
  config: { appSubUrl: '' }, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: () => ({}),
});

function checkProperties(panel) {
  // A property that is not registered would be dropped silently.
  const known = new Set([...Object.keys(STANDARD), ...CUSTOM.map((id) => `custom.${id}`)]);
  const { custom = {}, ...rest } = panel.fieldConfig?.defaults ?? {};
  const used = [
    ...Object.keys(rest), ...Object.keys(custom).map((id) => `custom.${id}`),
    ...(panel.fieldConfig?.overrides ?? []).flatMap((one) => one.properties.map(({ id }) => id)),
  ];
  used.filter((id) => !known.has(id)).forEach((id) => problem(panel, `this page does not know the property ${id}`));
}

async function load(panel, context) {
  checkProperties(panel);
  let found = await frames(panel, context, (message) => problem(panel, message));
  if (panel.transformations?.length) {
    found = await lastValueFrom(data.transformDataFrame(panel.transformations, found));
  }
  const shown = data.applyFieldOverrides({
    data: found, fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry, theme, timeZone: 'utc',
    replaceVariables: (text, scoped, format) => interpolate(text, context, scoped, format),
  });
  shown.forEach((frame) => frame.fields.forEach((field) => {
    field.state.displayName = data.getFieldDisplayName(field, frame, shown);
  }));
  return shown;
}

// --- panels -------------------------------------------------------------------------------------------------------
const LINE = {
  drawStyle: 'line', lineInterpolation: 'linear', pointSize: 5, axisPlacement: 'auto', barAlignment: 0,
  scaleDistribution: { type: 'linear' }, hideFrom: { legend: false, tooltip: false, viz: false },
  thresholdsStyle: { mode: 'off' }, stacking: { mode: 'none', group: 'A' },
};

function Lines({ panel, series, width, height, context }) {
  const drawn = series.map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => field.type !== 'number' ? field : {
      ...field, config: { ...field.config, custom: { ...LINE, ...field.config.custom } },
    }),
  }));
  const range = { from: data.dateTime(context.from * 1000), to: data.dateTime(context.to * 1000) };
  return <ui.TimeSeries frames={drawn} width={width} height={height} timeRange={{ ...range, raw: range }} timeZone="utc"
    legend={panel.options.legend} options={{}} />;
}

function Values({ panel, series, width, height, context }) {
  const options = panel.options;
  const values = () => data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: options.reduceOptions, theme, data: series, timeZone: 'utc',
    replaceVariables: (text, scoped, format) => interpolate(text, context, scoped, format),
  });
  const stat = ({ value, width, height, count, alignmentFactors }) => <ui.BigValue value={value.display} width={width}
    height={height} theme={theme} colorMode={options.colorMode} graphMode={options.graphMode} count={count}
    justifyMode={options.justifyMode} textMode={options.textMode} alignmentFactors={alignmentFactors} />;
  const bar = ({ value, width, height, alignmentFactors, orientation }) => <ui.BarGauge value={value.display}
    width={width} height={height} field={value.field} theme={theme} orientation={orientation} itemSpacing={8}
    display={value.view?.getFieldDisplayProcessor(value.colIndex)} displayMode={options.displayMode}
    valueDisplayMode={options.valueMode} namePlacement={options.namePlacement} lcdCellWidth={12}
    showUnfilled={options.showUnfilled} alignmentFactors={alignmentFactors} />;
  return <ui.VizRepeater width={width} height={height} source={series} itemSpacing={8} orientation={options.orientation}
    getValues={values} getAlignmentFactors={data.getDisplayValueAlignmentFactors} renderCounter={0} renderValue={panel.type === 'stat' ? stat : bar} autoGrid
    minVizHeight={options.minVizHeight} minVizWidth={options.minVizWidth} maxVizHeight={options.maxVizHeight} />;
}

function Content(props) {
  const { panel, series, width, height } = props;
  if (!series.some((frame) => frame.length)) {
    const text = panel.fieldConfig?.defaults?.noValue ?? 'No data';
    return <div className="nothing" style={{ display: 'grid', placeItems: 'center', height: '100%', textAlign: 'center' }}>{text}</div>;
  }
  if (panel.type === 'table') {
    return <TableNG data={series[0]} width={width} height={height} sortBy={panel.options.sortBy} structureRev={1}
      cellHeight={panel.options.cellHeight} showTypeIcons={false} enableVirtualization={false} />;
  }
  if (panel.type === 'timeseries') return <Lines {...props} />;
  if (panel.type === 'stat' || panel.type === 'bargauge') return <Values {...props} />;
  throw new Error(`a ${panel.type} cannot be drawn here`);
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  componentDidCatch(error) { problem(this.props.panel, error.message); }
  render() { return this.state.error ? <pre>{this.state.error.message}</pre> : this.props.children; }
}

function Panel({ panel, series, place, context }) {
  const style = { position: 'absolute', left: place.x, top: place.y, width: place.width, height: place.height };
  if (panel.type === 'row') return <h2 style={{ ...style, fontSize: 16, margin: 0, padding: 6 }}>{panel.title}</h2>;
  return <section style={style} data-panel={panel.title}>
    <ui.PanelChrome title={panel.title} width={place.width} height={place.height}
      padding={panel.type === 'table' ? 'none' : 'md'}>
      {(width, height) => <Guard panel={panel}><Content {...{ panel, series, width, height, context }} /></Guard>}
    </ui.PanelChrome>
  </section>;
}

// --- positions -------------------------------------------------------------------------------------------------------
function places(panels) {
  const width = innerWidth - 2 * GAP, column = width / 24, phone = innerWidth < PHONE;
  let below = 0, last = 0;
  const found = [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x).map((panel) => {
    const { x, y, w, h } = panel.gridPos, height = h * CELL + (h - 1) * GAP;
    const place = phone
      ? { x: GAP, y: below, width, height }
      : { x: GAP + x * column, y: y * (CELL + GAP), width: w * column - GAP, height };
    below += height + GAP;
    last = Math.max(last, place.y + height);
    return { panel, place };
  });
  return { found, height: last + GAP };
}

async function main() {
  // The libraries measure widths with this element before it is on the page.
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
  const dashboard = await (await fetch('dashboard.json')).json();
  const to = Number(given.get('to')), from = Number(given.get('from')), prometheus = given.get('prom');
  const context = { prometheus, from, to, proxy: data.getFieldDisplayValuesProxy, variables: {} };
  await chooseVariables(dashboard, context, (message) => problem(null, message));
  const loaded = await Promise.all(dashboard.panels.map(async (panel) => {
    if (panel.type === 'row') return { panel, series: [] };
    try {
      return { panel, series: await load(panel, context) };
    } catch (error) {
      problem(panel, error.message);
      return { panel, series: [] };
    }
  }));
  const series = new Map(loaded.map((one) => [one.panel, one.series]));
  const { found, height } = places(dashboard.panels);
  const colors = theme.colors;
  createRoot(document.getElementById('root')).render(
    <data.ThemeContext.Provider value={theme}>
      <ui.GlobalStyles />
      <div style={{ background: colors.background.canvas, color: colors.text.primary, fontFamily: theme.typography.fontFamily }}>
        <div style={{ padding: GAP, fontSize: 18 }}>{dashboard.title}</div>
        <div style={{ position: 'relative', height }}>
          {found.map(({ panel, place }) =>
            <Panel key={panel.id} panel={panel} place={place} series={series.get(panel)} context={context} />)}
        </div>
      </div>
    </data.ThemeContext.Provider>);
  setTimeout(() => { window.ready = true; }, 1500);
}

main().catch((error) => { problem(null, error.stack); window.ready = true; });
